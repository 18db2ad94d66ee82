"""The waits between attempts."""

from __future__ import annotations

from stemline.callbacks.schedule import Schedule
from stemline.runtime.settings import Settings

WAITS = Settings().callbacks.schedule_s


def test_ten_attempts_over_three_days():
    """By default there are ten attempts, the last one almost three days after the first."""
    schedule = Schedule(WAITS)
    expected = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400, None]
    assert expected == [schedule.next_wait_s(attempts) for attempts in range(1, 11)]


def test_jitter_spreads_within_its_share():
    """Jitter changes a wait by at most its share, in both directions."""
    spread = [Schedule(WAITS, 0.1, lambda d=draw: d).next_wait_s(2) for draw in (0.0, 0.5, 1.0)]
    assert [270, 300, 330] == [round(s) for s in spread]


def test_retry_after_only_makes_a_wait_longer():
    """Retry-After lengthens a wait up to the longest one; it neither shortens one nor adds attempts."""
    schedule = Schedule(WAITS)
    assert [300, 400, 86_400] == [schedule.next_wait_s(2, wish) for wish in (1, 400, 1e9)]
    assert schedule.next_wait_s(10, 5) is None
