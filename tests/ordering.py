"""In which order tests run, and which of several processes runs them."""

from __future__ import annotations

import pytest
from xdist.scheduler import LoadFileScheduling

#: Modules that share services, or what takes long to make: one process runs them all, and makes it once.
_SHARED = {
    "stack": (
        "tests/browser/test_real_separation.py",
        "tests/integration/cli/test_beside_a_stack.py",
        "tests/integration/client/test_page.py",
        "tests/integration/test_",
        "tests/integration/deploy/test_flower.py",
        "tests/integration/deploy/test_stack.py",
    ),
    "service": ("tests/integration/observe/",),
    "chart": ("tests/integration/chart/",),
}
_LONGEST = "stack"
#: Tests that only compute, each for a moment: they fill the end of a run.
_SHORT = "tests/unit/"
#: Slow groups begin in this part of the others' time.
_EARLIER = 0.6


class Scheduling(LoadFileScheduling):
    """Give each group of tests to one process."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def group_of(nodeid: str) -> str:
    """Return the group of a test: its module, or the name of what it shares with other modules."""
    return next(
        (name for name, starts in _SHARED.items() if nodeid.startswith(starts)), nodeid.partition("::")[0]
    )


def arrange(items: list[pytest.Item]) -> None:
    """Put the longest group first and unit tests last; tests marked ``last`` end their module.

    The order is random otherwise, so that tests that wait and tests that compute run at the same time. Groups
    with slow tests come earlier: one that begins near the end would leave the other processes without work.
    """
    groups = {item: group_of(item.nodeid) for item in items}
    slow = {groups[item] for item in items if item.get_closest_marker("slow")} | _SHARED.keys()
    order: dict[object, int] = {}
    for item in items:
        for each in (groups[item], item.path):
            order.setdefault(each, len(order))

    def place(item: pytest.Item) -> tuple[bool, bool, float, str, int, bool]:
        group, is_last = groups[item], item.get_closest_marker("last") is not None
        at = order[group] * (_EARLIER if group in slow else 1)
        return group != _LONGEST, group.startswith(_SHORT), at, group, order[item.path], is_last

    items.sort(key=place)
