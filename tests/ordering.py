"""In which order tests run, and which of two processes runs them."""

from __future__ import annotations

from pathlib import Path

import pytest
from xdist.scheduler import LoadFileScheduling

#: Modules that share the running stack: together they start it once.
_STACK = (
    "tests/browser/",
    "tests/integration/client/test_page.py",
    "tests/integration/deploy/test_stack.py",
    "tests/integration/test_",
)


class Scheduling(LoadFileScheduling):
    """Give each module to one process, and the modules that share the stack to the same one."""

    def _split_scope(self, nodeid: str) -> str:
        return "stack" if _uses_stack(nodeid) else str(super()._split_scope(nodeid))


def arrange(items: list[pytest.Item]) -> None:
    """Put modules with slow tests first, and tests marked ``last`` at the end of their module.

    The order is random otherwise. Slow modules at the end would leave one of two processes without work.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow") or _uses_stack(item.nodeid)}
    order: dict[Path, int] = {}
    for item in items:
        order.setdefault(item.path, len(order))

    def place(item: pytest.Item) -> tuple[bool, int, bool]:
        return item.path not in slow, order[item.path], item.get_closest_marker("last") is not None

    items.sort(key=place)


def _uses_stack(nodeid: str) -> bool:
    return nodeid.startswith(_STACK)
