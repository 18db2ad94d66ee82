"""The life of a job as data: states and legal transitions.

::

    Submitted ⇄ Pause        the queue is paused, or active again
    Submitted → Running      a worker claims the job
    Running   → Submitted    the worker died or gave the job back; attempts are left
    Running   → Success | Failed | Cancel
    Submitted | Pause → Cancel
    Submitted | Pause → Failed   the job cannot be started at all
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class State(StrEnum):
    """A job's state, spelled as on the wire."""

    SUBMITTED = "Submitted"
    PAUSE = "Pause"
    RUNNING = "Running"
    SUCCESS = "Success"
    FAILED = "Failed"
    CANCEL = "Cancel"

    @property
    def terminal(self) -> bool:
        """Whether nothing follows this state."""
        return not TRANSITIONS[self]

    @property
    def waiting(self) -> bool:
        """Whether the job waits for a worker."""
        return self in {State.SUBMITTED, State.PAUSE}


TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.SUBMITTED: frozenset({State.PAUSE, State.RUNNING, State.CANCEL, State.FAILED}),
    State.PAUSE: frozenset({State.SUBMITTED, State.CANCEL, State.FAILED}),
    State.RUNNING: frozenset({State.SUBMITTED, State.SUCCESS, State.FAILED, State.CANCEL}),
    State.SUCCESS: frozenset(),
    State.FAILED: frozenset(),
    State.CANCEL: frozenset(),
}
"""From each state, the states that may follow."""


def legal(before: State, after: State) -> bool:
    """Whether a job may go from one state to the other."""
    return after in TRANSITIONS[before]


class QueueState(StrEnum):
    """Whether a queue starts its waiting jobs."""

    ACTIVE = "Active"
    PAUSED = "Paused"
