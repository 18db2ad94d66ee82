"""States of jobs and queues, and the transitions that are allowed.

::

    Submitted ⇄ Pause            the queue is paused, or active again
    Submitted → Running          a worker claims the job
    Running   → Submitted        the worker died or released the job; attempts are left
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


TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.SUBMITTED: frozenset({State.PAUSE, State.RUNNING, State.CANCEL, State.FAILED}),
    State.PAUSE: frozenset({State.SUBMITTED, State.CANCEL, State.FAILED}),
    State.RUNNING: frozenset({State.SUBMITTED, State.SUCCESS, State.FAILED, State.CANCEL}),
    State.SUCCESS: frozenset(),
    State.FAILED: frozenset(),
    State.CANCEL: frozenset(),
}
"""From each state, the states that may follow; none follow a final state."""


ENDED = frozenset(state for state in State if not TRANSITIONS[state])
"""Final states."""
WAITING = frozenset({State.SUBMITTED, State.PAUSE})
CANCELLABLE = frozenset(State) - ENDED
RETRIABLE = frozenset({State.FAILED, State.CANCEL})
"""States whose jobs another job may retry."""


class QueueState(StrEnum):
    """Whether a queue starts its waiting jobs."""

    ACTIVE = "Active"
    PAUSED = "Paused"
