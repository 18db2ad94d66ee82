"""Dates of HTTP that a client, a store or a receiver sends."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stemline.runtime.http_date import seconds_of


@pytest.mark.parametrize(
    "date",
    ["Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 -0000", "Sun, 06 Nov 1994 09:49:37 +0100"],
)
def test_a_date_is_read(date):
    """With a zone or without one, which is UTC, a date is its moment."""
    assert 784_111_777.0 == seconds_of(date)


@pytest.mark.parametrize(
    "date",
    [
        "",
        "never",
        "Mon, 01 Jan 999999999999999999999999999999 00:00:00 GMT",
        f"Mon, 01 Jan {'9' * 5000} 00:00:00 GMT",
        "Mon, 01 Jan 2024 00:00:00 +99999999999999",
        "Mon, 01 Jan 2024 99:99:99 GMT",
        ",,,",
        "1e300",
        "\x00",
    ],
)
def test_what_is_no_date_is_none(date):
    """Dates beyond the calendar, and texts of any other kind, are none; none of them raises."""
    assert seconds_of(date) is None


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet='MonJan,: +-0129GT()"\\', max_size=60))
def test_no_text_raises(date):
    """Whatever is made of the letters of dates is a moment or none."""
    assert seconds_of(date) is None or isinstance(seconds_of(date), float)
