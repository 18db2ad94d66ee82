"""What the status of an answer means for a callback."""

from __future__ import annotations

import pytest

from stemline.callbacks.http import Response
from stemline.callbacks.url_sender import outcome_of, retry_after_s


def test_only_2xx_is_delivered_and_only_410_is_final() -> None:
    """Every other status is tried again; each is kept as it came."""
    for status in range(100, 600):
        outcome = outcome_of(Response(status, {}, b""), 0.0)
        found = (outcome.delivered, outcome.final, outcome.status)
        assert (status // 100 == 2, status == 410, str(status)) == found


@pytest.mark.parametrize(
    "value",
    [
        "Mon, 01 Jan 999999999999999999999999999999 00:00:00 GMT",
        "9" * 5000,
        "soon",
        "-5",
        "\x00",
        "1e400",
        "²",
    ],
)
def test_no_header_undoes_a_delivery(value: str) -> None:
    """With any 2xx the callback is delivered, with others it is tried again, whatever Retry-After says."""
    headers = {"retry-after": value, "location": value, "content-type": value}
    for status in range(200, 300):
        outcome = outcome_of(Response(status, headers, b""), 0.0)
        assert (True, None) == (outcome.delivered, outcome.retry_after_s)
    assert not outcome_of(Response(503, headers, b""), 0.0).delivered


def test_of_an_answer_the_first_kilobyte_is_kept() -> None:
    """A long answer is cut, a redirect keeps its target, and what is no text is replaced."""
    assert "x" * 1024 == outcome_of(Response(500, {}, b"x" * 5000), 0.0).answer
    moved = outcome_of(Response(302, {"location": "http://b/" + "y" * 2000}, b"moved"), 0.0).answer
    assert moved.startswith("Location: http://b/y")
    assert len(moved) == 1024
    assert "\ufffd" == outcome_of(Response(500, {}, b"\xff"), 0.0).answer


def test_where_a_redirect_leads_is_kept() -> None:
    """The target of every redirect is kept with the answer, and no other Location is."""
    for status in range(200, 500):
        kept = outcome_of(Response(status, {"location": "http://b/"}, b"moved"), 0.0).answer
        assert kept == ("Location: http://b/\nmoved" if 300 <= status < 400 else "moved"), status


@pytest.mark.parametrize(
    ("value", "wait_s"),
    [
        ("120", 120.0),
        (" 7 ", 7.0),
        ("Thu, 01 Jan 1970 00:20:00 GMT", 200.0),
        ("Thu, 01 Jan 1970 00:10:00 GMT", 0.0),
        ("1.5", None),
        ("", None),
    ],
)
def test_a_receiver_may_ask_for_seconds_or_name_a_date(value: str, wait_s: float | None) -> None:
    """A date is so far from now, 1,000 s after the epoch; one that has passed asks for no wait."""
    assert wait_s == retry_after_s(value, 1000.0)
