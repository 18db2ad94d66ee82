"""The history of a job: the steps that the store keeps, and the attempts that they make up.

Times are µs since the epoch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from stemline.jobs.job import Job
from stemline.jobs.states import State

STEPS_KEPT: Final = 100
"""The latest steps of a job that are kept."""


class StepKind(StrEnum):
    """What a step is."""

    CLAIMED = "claimed"
    """A worker, named by the text, has the job."""
    STAGE = "stage"
    """The worker does what the text names, one of ``STAGES``."""
    RELEASED = "released"
    """The worker gave the job back for the reason in the text; the attempt does not count."""
    FAILED = "failed"
    """The same, and the attempt counts towards the maximum."""
    RECLAIMED = "reclaimed"
    """The lease ran out, and the sweeper that the text names has the job."""


@dataclass(frozen=True, slots=True)
class Step:
    """One event between the claim and the end of an attempt."""

    at: int
    kind: StepKind
    text: str = ""

    @classmethod
    def read(cls, entry: str) -> Step:
        """Return a step from its entry: time, kind and text, separated by spaces."""
        at, kind, text = entry.split(" ", 2)
        return cls(int(at), StepKind(kind), text)


@dataclass(frozen=True, slots=True)
class AttemptStage:
    """A stage of an attempt."""

    name: str
    """One of ``STAGES``."""
    started: int


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One claim of a job, and how it ended."""

    worker: str
    started: int
    ended: int | None = None
    outcome: str = ""
    """``released``, ``failed`` (it counts), ``lost`` (its lease ran out), or the last state of the job.

    Empty while it runs."""
    reason: str = ""
    stages: tuple[AttemptStage, ...] = ()


def attempts_of(job: Job, steps: Iterable[Step]) -> list[AttemptRecord]:
    """Return the attempts that steps describe, the oldest first, without those whose claim is not kept."""
    found: list[AttemptRecord] = []
    for step in steps:
        if step.kind is StepKind.CLAIMED:
            found.append(AttemptRecord(step.text, step.at))
        elif found:
            found[-1] = _after(found[-1], step)
    if found and found[-1].ended is None and job.ended is not None:
        found[-1] = replace(found[-1], ended=job.ended, outcome=job.state, reason=_reason(job))
    return found


def _after(attempt: AttemptRecord, step: Step) -> AttemptRecord:
    """Return an attempt after one more of its steps."""
    match step.kind:
        case StepKind.STAGE:
            return replace(attempt, stages=(*attempt.stages, AttemptStage(step.text, step.at)))
        case StepKind.RECLAIMED:
            return replace(attempt, ended=step.at, outcome="lost")
        case _ if attempt.outcome == "lost":  # the sweeper gives the job back
            return attempt
        case _:
            return replace(attempt, ended=step.at, outcome=step.kind, reason=step.text)


def _reason(job: Job) -> str:
    return f"{job.code}: {job.message}" if job.state is State.FAILED else job.message


def bounded(steps: Sequence[Step]) -> list[Step]:
    """Return the latest steps, as many as are kept."""
    return list(steps[-STEPS_KEPT:])
