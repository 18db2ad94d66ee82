"""The mutator of the store's scripts makes the changes that it says it makes."""

from __future__ import annotations

from tools.mutate_lua import changed, mutants

SCRIPT = """-- if a == b then
local due = tonumber(redis.call('ZSCORE', key, ARGV[1]) or 0)
if due > NOW and not done then return 0 end
redis.call('ZREM', key, id)  -- gone
"""


def test_each_kind_of_change_is_made_once() -> None:
    """Comparisons, logic, numbers and calls are changed one at a time, comments and ARGV's numbers not."""
    found = [(each.line, each.after.strip()) for each in mutants("some", SCRIPT)]
    assert [
        (2, "local due = tonumber(redis.call('ZSCORE', key, ARGV[1]) and 0)"),
        (2, "local due = tonumber(redis.call('ZSCORE', key, ARGV[1]) or 1)"),
        (3, "if due >= NOW and not done then return 0 end"),
        (3, "if due > NOW or not done then return 0 end"),
        (3, "if due > NOW and done then return 0 end"),
        (3, "if due > NOW and not done then return 1 end"),
        (4, ""),
    ] == found


def test_a_change_leaves_the_other_lines_alone() -> None:
    """A script with a change differs in that line only."""
    last = list(mutants("some", SCRIPT))[-1]
    assert [*SCRIPT.splitlines()[:3], ""] == changed(SCRIPT, last).splitlines()
