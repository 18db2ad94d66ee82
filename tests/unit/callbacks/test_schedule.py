"""The waits between tries."""

from __future__ import annotations

from stemline.callbacks.schedule import Schedule
from stemline.runtime.settings import Settings

WAITS = Settings().callbacks.schedule_s


def test_ten_tries_over_three_days():
    """The waits are those of the design: ten tries, the last one almost three days after the first."""
    schedule = Schedule(WAITS)
    expected = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400, None]
    assert expected == [schedule.next_wait_s(tries) for tries in range(1, 11)]


def test_jitter_spreads_within_its_share():
    """A wait is shortened or lengthened by at most the share that is set, evenly."""
    spread = [Schedule(WAITS, 0.1, lambda d=draw: d).next_wait_s(2) for draw in (0.0, 0.5, 1.0)]
    assert [270, 300, 330] == [round(s) for s in spread]


def test_a_receivers_wish_moves_a_try_later_only():
    """Retry-After postpones up to the longest wait; it neither hastens tries nor adds any."""
    schedule = Schedule(WAITS)
    assert [300, 400, 86_400] == [schedule.next_wait_s(2, wish) for wish in (1, 400, 1e9)]
    assert schedule.next_wait_s(10, 5) is None
