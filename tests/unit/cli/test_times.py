"""Times on the command line."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import click
import pytest

from stemline.cli.times import FUTURE, TIME


@pytest.fixture(autouse=True)
def somewhere(monkeypatch: pytest.MonkeyPatch):
    """A machine five and a half hours east of Greenwich."""
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-01T10:20:30",
        "2026-03-01 10:20:30",
        "2026-03-01T10:20:30+05:30",
        "2026-03-01T10:20:30+0530",
        "2026-03-01T04:50:30Z",
        " 2026-03-01T12:50:30+0800 ",
    ],
)
def test_a_time_without_a_zone_is_a_local_one(text: str) -> None:
    """The form that tables print means the moment that they mean; one with a zone means that of the zone."""
    assert datetime(2026, 3, 1, 4, 50, 30, tzinfo=UTC) == TIME.convert(text, None, None)


def test_a_day_and_a_minute_are_times_too() -> None:
    """Seconds may be left out, and the time of a day is its midnight."""
    assert datetime(2026, 2, 28, 18, 30, tzinfo=UTC) == TIME.convert("2026-03-01", None, None)
    assert datetime(2026, 3, 1, 4, 50, tzinfo=UTC) == FUTURE.convert("2026-03-01T10:20", None, None)


def test_an_age_lies_before_or_behind_now() -> None:
    """Two hours ago, or in two hours, by what the option is about."""
    now = datetime.now(UTC)
    assert abs(TIME.convert("2h", None, None) - (now - timedelta(hours=2))) < timedelta(seconds=50)
    assert abs(FUTURE.convert("2h", None, None) - (now + timedelta(hours=2))) < timedelta(seconds=50)


@pytest.mark.parametrize(("unit", "seconds"), [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)])
def test_each_unit_is_what_it_says(unit: str, seconds: int) -> None:
    """Seconds, minutes, hours and days."""
    now = datetime.now(UTC)
    age = now - TIME.convert(f"50{unit}", None, None)
    assert 0 <= (timedelta(seconds=50 * seconds) - age).total_seconds() < 40


@pytest.mark.parametrize("text", ["", "tomorrow", "2x", "2026-13-01", "10:20", "99999999999d"])
def test_what_is_no_time_is_refused_with_an_example(text: str) -> None:
    """The message shows both forms."""
    with pytest.raises(click.BadParameter, match="2026-03-01 10:20 in the local time zone"):
        TIME.convert(text, None, None)
