"""When a job may start, and when it must have started."""

from __future__ import annotations

from typing import Final

from stemline.jobs.errors import RequestRefused
from stemline.jobs.job import JobSpec

MAX_AHEAD_US: Final = 366 * 86_400_000_000
"""How far in the future a job may start, µs."""


def check_start_times(spec: JobSpec, now: int) -> None:
    """Check when a job may and must start.

    Args:
        spec: What is asked for.
        now: µs since the epoch.

    Raises:
        RequestRefused: It could never start, or only in a far future.
    """
    if spec.deadline is not None and spec.deadline <= now:
        raise RequestRefused("Deadline has passed.")
    if (spec.not_before or 0) > now + MAX_AHEAD_US:
        raise RequestRefused("NotBefore must be within a year.")
    if spec.deadline is not None and spec.deadline <= (spec.not_before or 0):
        raise RequestRefused("Deadline must be after NotBefore.")
