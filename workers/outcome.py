"""How an attempt at a job ended; read by the log, the metrics, the traces and Flower."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """How an attempt ended."""

    SUCCESS = "success"
    """The stems are published and the job is Success."""
    FAILED = "failed"
    """The job is Failed, with a code and a message."""
    CANCELLED = "cancelled"
    """The job is Cancel."""
    POSTPONED = "postponed"
    """A bucket was unavailable, or the worker was at fault; the job is tried again after a delay."""
    RELEASED = "released"
    """The worker shuts down; the job may be claimed again at once."""
    SUPERSEDED = "superseded"
    """The lease was lost; the job belongs to another attempt, or to the sweeper."""


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """The outcome of an attempt, and why."""

    outcome: Outcome
    code: str = ""
    """The wire's code of why a job failed or was postponed."""
    message: str = ""
    """The reason, for people; empty for a success."""
    counts: bool = False
    """Whether a postponed attempt counts towards the maximum."""

    def __str__(self) -> str:
        return ": ".join(part for part in (self.outcome, self.code, self.message) if part)
