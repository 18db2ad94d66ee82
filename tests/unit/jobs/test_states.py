"""The states of a job and the transitions between them."""

from __future__ import annotations

import re

from stemline.jobs import states
from stemline.jobs.states import TRANSITIONS, State

DRAWN = re.compile(
    r"^ +(?P<before>[A-Z][\w| ]*?) *(?P<arrow>[→⇄]) *(?P<after>[A-Z][\w| ]*?)(?:  .*)?$", re.MULTILINE
)


def test_the_table_is_the_drawing() -> None:
    """The table of transitions holds exactly what the module's docstring draws."""
    drawn = set()
    for line in DRAWN.finditer(states.__doc__):
        for before in line["before"].split(" | "):
            for after in line["after"].split(" | "):
                drawn.add((before, after))
                if line["arrow"] == "⇄":
                    drawn.add((after, before))
    assert drawn == {
        (before.value, after.value) for before, afters in TRANSITIONS.items() for after in afters
    }
    assert 11 == len(drawn)


def test_every_state_is_in_the_table() -> None:
    """Every state has a row, and exactly Success, Failed and Cancel lead nowhere."""
    assert set(State) == set(TRANSITIONS)
    final = {state for state, afters in TRANSITIONS.items() if not afters}
    assert {State.SUCCESS, State.FAILED, State.CANCEL} == final
