"""The rate limit's arithmetic."""

from __future__ import annotations

import contextlib

import pytest

from stemline.api.limits import MAX_CALLERS, RateLimit
from stemline.jobs.errors import RateLimited


def test_burst_then_rate() -> None:
    """A burst passes, then one request per 1/rate seconds; the refusal has the time to wait."""
    now = [0.0]
    limit = RateLimit(2.0, 3, clock=lambda: now[0])
    for _ in range(3):
        limit.admit("a")
    with pytest.raises(RateLimited) as refused:
        limit.admit("a")
    assert pytest.approx(0.5) == refused.value.retry_after_s
    now[0] = 0.5
    limit.admit("a")
    with pytest.raises(RateLimited):
        limit.admit("a")


def test_each_caller_alone() -> None:
    """One caller's requests do not count for another caller."""
    limit = RateLimit(1.0, 1, clock=lambda: 0.0)
    limit.admit("a")
    limit.admit("b")
    with pytest.raises(RateLimited):
        limit.admit("a")


def test_no_limit() -> None:
    """Rate 0 is no limit, where any other rate refuses all but its burst."""

    def admitted(rate: float) -> int:
        limit = RateLimit(rate, 1, clock=lambda: 0.0)
        count = 0
        for _ in range(100):
            with contextlib.suppress(RateLimited):
                limit.admit("a")
                count += 1
        return count

    assert [100, 1] == [admitted(0), admitted(1.0)]


def test_memory_is_bounded() -> None:
    """Memory stays bounded however many callers there are."""
    limit = RateLimit(1.0, 1, clock=lambda: 0.0)
    for number in range(MAX_CALLERS + 10):
        limit.admit(str(number))
    assert MAX_CALLERS == len(limit._callers)


def test_a_quiet_time_saves_up_no_more_than_the_burst() -> None:
    """After an hour without a request a caller has its burst again, and no more."""
    now = [0.0]
    limit = RateLimit(2.0, 3, clock=lambda: now[0])
    limit.admit("a")
    now[0] = 3600.0
    for _ in range(3):
        limit.admit("a")
    with pytest.raises(RateLimited):
        limit.admit("a")


def test_the_caller_that_was_quiet_longest_is_forgotten() -> None:
    """Where there are too many callers, those that send are still limited; one of old begins anew."""
    limit = RateLimit(1.0, 2, clock=lambda: 0.0)
    for number in range(MAX_CALLERS):
        limit.admit(str(number))
    limit.admit("0")
    limit.admit("new")
    with pytest.raises(RateLimited):
        limit.admit("0")
    assert "1" not in limit._callers
    limit.admit("new")
    with pytest.raises(RateLimited):
        limit.admit("new")
