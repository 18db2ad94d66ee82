"""The mutator of the store's scripts makes the changes that it says it makes."""

from __future__ import annotations

from tools.lua_mutants import changed, mutants

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


def test_a_change_names_the_function_around_it() -> None:
    """What stands outside of any function names none."""
    text = "f(0)\nlocal function a(x) return x + 0 end\nf(0)\nlocal function b()\n  f(0)\nend\nf(0)\n"
    found = {(each.line, each.function) for each in mutants("x", text)}
    assert {(1, ""), (2, "a"), (3, ""), (5, "b"), (7, "")} == found
