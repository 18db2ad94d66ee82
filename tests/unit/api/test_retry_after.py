"""When a client may try again: whole seconds, never earlier than was meant, and at least one."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from stemline.api.errors import answer
from stemline.jobs.errors import RateLimited, StoreUnavailable


def request() -> Request:
    return Request(
        {
            "type": "http",
            "method": "GET",
            "path": "/",
            "query_string": b"",
            "headers": [],
            "state": {"request_id": "r"},
        }
    )


@pytest.mark.parametrize(
    ("seconds", "header"), [(0.0, "1"), (0.01, "1"), (1.0, "1"), (1.01, "2"), (1.5, "2"), (59.2, "60")]
)
def test_seconds_are_rounded_up(seconds: float, header: str) -> None:
    """A client that waits for so long is not refused for coming a moment too early."""
    assert header == answer(request(), RateLimited(retry_after_s=seconds)).headers["Retry-After"]


def test_a_store_that_is_away_says_when_to_come_back() -> None:
    """Whatever the fault, a 503 of the store has the header."""
    response = answer(request(), StoreUnavailable())
    assert 503 == response.status_code
    assert int(response.headers["Retry-After"]) >= 1
