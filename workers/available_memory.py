"""The memory that this process can still take, of the machine or of its container, whichever has less."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

_CGROUP: Final = Path("/sys/fs/cgroup")
_PROC: Final = Path("/proc")
#: Of a control group, of version 2 and 1: its limit, its use, and what of it is a cache that is given back.
_FILES: Final = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def available_memory(cgroup: Path = _CGROUP, proc: Path = _PROC) -> int | None:
    """Return how many bytes can be taken before the system or the container is out of memory.

    Reclaimable file cache counts as free. None where the system does not tell.

    Args:
        cgroup: Where control groups are mounted, of version 2 or 1.
        proc: Where processes are.
    """
    found = [*_of_machine(proc / "meminfo", "MemAvailable:")]
    for folder in _groups(cgroup, proc / "self" / "cgroup"):
        found += _of_group(folder)
    return max(0, min(found)) if found else None


def total_memory(cgroup: Path = _CGROUP, proc: Path = _PROC) -> int | None:
    """Return how many bytes the machine has, or the container if that has less; None where none tells.

    Args:
        cgroup: Where control groups are mounted, of version 2 or 1.
        proc: Where processes are.
    """
    found = [*_of_machine(proc / "meminfo", "MemTotal:")]
    for folder in _groups(cgroup, proc / "self" / "cgroup"):
        limits = (_number(folder / name) for name, *_ in _FILES)
        found += [most for most in limits if most is not None]
    return min(found) if found else None


def _of_machine(meminfo: Path, which: str) -> Iterator[int]:
    for line in _lines(meminfo):
        if line.startswith(which):
            yield int(line.split()[1]) * 1024


def _groups(mounted: Path, membership: Path) -> Iterator[Path]:
    """Yield the folder of this process's group and of every group around it; each may have a limit."""
    for line in _lines(membership):
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root = mounted / "memory" if controllers else mounted
        # In a container the path may be the one outside of it, which is not mounted.
        group = root / path.lstrip("/")
        yield from (group, *group.parents)[: len(Path(path.lstrip("/")).parts) + 1]


def _of_group(folder: Path) -> Iterator[int]:
    """Yield what a group has left, if it has a limit."""
    for limit, usage, cached in _FILES:
        most, used = _number(folder / limit), _number(folder / usage)
        if most is None or used is None:
            continue
        stat = dict(line.split(" ", 1) for line in _lines(folder / "memory.stat") if " " in line)
        yield most - used + int(stat.get(cached, 0))


def _number(path: Path) -> int | None:
    (text,) = _lines(path) or [""]
    return int(text) if text.isdigit() else None  # "max"


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
