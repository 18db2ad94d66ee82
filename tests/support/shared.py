"""Services that the tests of a group share (`tests/ordering.py`): they run no longer than the group does."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Final


class SharedServices:
    """Services by name, each started when it is first asked for.

    A fixture of the whole session would let them run idle, and use the processor, until the last test of all.
    """

    def __init__(self) -> None:
        self._running: dict[str, Any] = {}
        self._stack = ExitStack()

    def get(self, name: str, start: Callable[[], AbstractContextManager[Any]]) -> Any:
        """Return a running service.

        Args:
            name: Of the service.
            start: Starts it, if it is not running.
        """
        if name not in self._running:
            self._running[name] = self._stack.enter_context(start())
        return self._running[name]

    def stop(self) -> None:
        """Stop them all."""
        self._running.clear()
        self._stack.close()


SHARED: Final = SharedServices()
