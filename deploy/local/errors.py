"""Errors of the local stack.

::

    StackError
    └── ProcessEnded
"""

from __future__ import annotations

from pathlib import Path


class StackError(RuntimeError):
    """The stack cannot be started or cannot go on."""


class ProcessEnded(StackError):
    """A process of the stack ended without having been stopped.

    Attributes:
        name: Name of the process.
    """

    def __init__(self, name: str, exit_code: int, log: Path) -> None:
        how = f"was killed by signal {-exit_code}" if exit_code < 0 else f"ended with status {exit_code}"
        super().__init__(f"{name} {how}; see {log}")
        self.name = name
