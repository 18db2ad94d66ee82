"""What can go wrong with a local stack.

::

    StackError
    └── PartEnded
"""

from __future__ import annotations

from pathlib import Path


class StackError(RuntimeError):
    """The stack could not be started or did not hold."""


class PartEnded(StackError):
    """A part of the stack ended although nobody asked it to."""

    def __init__(self, name: str, exit_code: int, log: Path) -> None:
        how = "was killed" if exit_code < 0 else f"ended with {exit_code}"
        super().__init__(f"{name} {how}; its log is {log}")
        self.name = name
        self.log = log
