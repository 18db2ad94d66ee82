"""What the checker of models prints, and the cases it is asked."""

from __future__ import annotations

import re

import pytest

from tools.model import CASES, MODEL, read

PASSED = """Model checking completed. No error has been found.
2,911 states generated, 1,066 distinct states found, 0 states left on queue.
Finished in 01s at (2026-01-01 00:00:00)
"""
VIOLATED = """Error: Invariant DoneOnce is violated.
State 1: <Initial predicate>
State 2: <Claim line 1>
12 states generated, 9 distinct states found, 3 states left on queue.
Finished in 01s at (2026-01-01 00:00:00)
"""


def test_a_model_that_holds_is_read() -> None:
    """Nothing is violated, and the states are counted."""
    result = read(PASSED)
    assert (1066, "", 0) == (result.states, result.violated, result.steps)


def test_a_violation_is_read() -> None:
    """The property, and the length of the way to it."""
    result = read(VIOLATED)
    assert (9, "DoneOnce", 2) == (result.states, result.violated, result.steps)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Parsing file Job.tla",
        PASSED + "Error: The constant Lease has no value.",
        PASSED.partition("Fin")[0],
    ],
)
def test_a_checker_that_did_not_finish_is_an_error(text: str) -> None:
    """A model that cannot be read or run counts neither as right nor as wrong."""
    with pytest.raises(RuntimeError):
        read(text)


def test_every_mistake_of_the_model_is_planted() -> None:
    """Each mistake that the model knows has a case, and each case a mistake that the model knows."""
    known = {
        name
        for group in re.findall(r'(?:Is|Expires)\((?:p, |w, )?"([^"]+)"\)', MODEL.read_text())
        for name in [group]
    }
    assert known == {case.mistake for case in CASES} - {"none"}
    assert len(known) >= 18
