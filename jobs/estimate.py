"""When a job will start and end: estimates from what its queue and its worker have done so far."""

from __future__ import annotations

from dataclasses import dataclass, replace

from stemline.jobs.job import Job
from stemline.jobs.states import State


@dataclass(frozen=True, slots=True)
class Pace:
    """What is known of a queue at one moment."""

    now: int
    """µs since the epoch."""
    running: int
    """Jobs of the queue that run."""
    mean_run: int | None
    """How long its latest successful jobs ran, µs; ``None`` before the first."""


def started_at(pace: Pace, ahead: int) -> int | None:
    """Return when a waiting job will start, µs since the epoch.

    The running jobs of the queue end one after the other, at equal distances on average, and each end starts
    the next job. Without a running job the first one starts at once.

    Args:
        pace: Pace of its queue.
        ahead: Jobs of the queue that start before it.

    Returns:
        The time; ``None`` if nothing is known yet.
    """
    if pace.running == 0 and ahead == 0:
        return pace.now
    if pace.mean_run is None:
        return None
    turns = ahead + 0.5 if pace.running else ahead
    return pace.now + round(turns * pace.mean_run / max(1, pace.running))


def ended_at(pace: Pace, start: int | None, by_worker: int | None = None) -> int | None:
    """Return when a job will end, µs since the epoch.

    Args:
        pace: Pace of its queue.
        start: When it started, or will.
        by_worker: What its worker expects from the work that is done.
    """
    if by_worker is not None:
        return max(by_worker, pace.now)
    if start is None or pace.mean_run is None:
        return None
    return max(start + pace.mean_run, pace.now)


def with_estimates(job: Job, pace: Pace, *, ahead: int | None, by_worker: int | None) -> Job:
    """Return a job that is not over with its position and estimates.

    Args:
        job: As clients see it; while no worker takes it, nobody knows when it starts.
        pace: Pace of its queue.
        ahead: Jobs of the queue that start before it; ``None`` if it is not claimable now.
        by_worker: When its worker expects the end, µs since the epoch.
    """
    if job.state is State.RUNNING:
        return replace(job, estimated_end=ended_at(pace, job.started, by_worker))
    position = None if ahead is None else ahead + 1
    if job.state is State.PAUSE or ahead is None or job.wait_reason:
        return replace(job, position=position)
    start = started_at(pace, ahead)
    return replace(job, position=position, estimated_start=start, estimated_end=ended_at(pace, start))


def mean_run(before: int | None, run: int) -> int:
    """Return the mean after one more successful run, in which later ones count more, µs."""
    return run if before is None else round(before + (run - before) / 5)
