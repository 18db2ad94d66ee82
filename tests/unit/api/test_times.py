"""Times of the wire: UTC+8, second precision."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemline.wire.times import PATTERN, format_time, parse_time

AT = 1_772_331_630_000_000  # 2026-03-01 02:20:30 UTC


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-01T10:20:30+0800",
        "2026-03-01T10:20:30+08:00",
        "2026-03-01T10:20:30 0800",  # a raw + that was decoded as a form
        "2026-03-01T10:20:30",
        "2026-03-01T02:20:30Z",
        "2026-03-01T02:20:30.123Z",
        " 2026-03-01T01:20:30-0100 ",
    ],
)
def test_forms(text: str) -> None:
    """Each accepted form of a time is the same moment."""
    assert AT == parse_time(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "-", "yesterday", "2026-03-01", "2026-13-01T00:00:00Z", "2026-03-01T10:20:30+08"),
        *("2026-03-01T10:20:30+0860", "2026-03-01T10:20:30+2400", "2026-03-01T10:20:30+٠٨٠٠"),
    ],
)
def test_other_texts(text: str) -> None:
    """Any other text is an error."""
    with pytest.raises(ValueError, match=r".*"):
        parse_time(text)


def test_a_time_that_is_not_known() -> None:
    """A time that is not known yet is a dash."""
    assert "-" == format_time(None)


@pytest.mark.parametrize("offset", ["Z", "+0800", "-2359", "+2359"])
@pytest.mark.parametrize("year", ["0001", "0999", "1969", "1971", "2262", "9998", "9999"])
@pytest.mark.parametrize("day", ["01-01T00:00:00", "12-31T23:59:59"])
def test_any_time_that_is_read_can_be_written(year: str, day: str, offset: str) -> None:
    """Also one that is in no year of ours: a job with it would end every list of its bucket with an error."""
    at = parse_time(f"{year}-{day}{offset}")
    shown = format_time(at)
    assert re.fullmatch(PATTERN, shown)
    assert at == parse_time(shown) or not 1970 < int(year) < 9999


@given(st.integers(1, 4_000_000_000))
def test_round_trip(seconds: int) -> None:
    """A written time reads back as the same second, and fits the pattern of the schemas."""
    text = format_time(seconds * 1_000_000 + 999_999)
    assert re.fullmatch(PATTERN, text)
    assert seconds * 1_000_000 == parse_time(text)
