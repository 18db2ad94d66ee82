"""How much memory a process took at most.

``ru_maxrss`` will not do: a child inherits the mark of the process that forked it, and no mark ever falls.
Linux keeps one for the program that runs now, which can be reset.
"""

from __future__ import annotations

from pathlib import Path


def reset_peak() -> int:
    """Let the peak begin at what is in use now, KiB; return that."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak()


def peak() -> int:
    """The most memory this program held since it began, or since the last reset, KiB."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])
