"""When jobs may start, and must have started."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stemline.jobs.errors import RequestRefused
from stemline.jobs.start_times import MAX_AHEAD_US, check_start_times
from stemline.testing.samples import job_spec

NOW = 1_800_000_000_000_000


@pytest.mark.parametrize(
    ("not_before", "deadline"),
    [
        (None, None),
        (NOW - 1, None),
        (NOW + MAX_AHEAD_US, None),
        (None, NOW + 1),
        (NOW + 1, NOW + 2),
        (NOW - 2, NOW + 1),
    ],
)
def test_times_that_can_be_met(not_before: int | None, deadline: int | None) -> None:
    """A job may start at once, within a year, and before its deadline."""
    spec = replace(job_spec(), not_before=not_before, deadline=deadline)
    check_start_times(spec, NOW)
    assert (not_before, deadline) == (spec.not_before, spec.deadline)


@pytest.mark.parametrize(
    ("not_before", "deadline", "refusal"),
    [
        (None, NOW, "Deadline has passed"),
        (NOW + MAX_AHEAD_US + 1, None, "NotBefore must be within a year"),
        (NOW + 1, NOW + 1, "Deadline must be after NotBefore"),
    ],
)
def test_times_that_cannot_be_met(not_before: int | None, deadline: int | None, refusal: str) -> None:
    """A job that could never start, or only in a far future, is refused with the reason."""
    spec = replace(job_spec(), not_before=not_before, deadline=deadline)
    with pytest.raises(RequestRefused, match=refusal):
        check_start_times(spec, NOW)
