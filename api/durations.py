"""The duration of requests, without the time that their clients took or asked to wait."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from starlette.types import Message, Receive, Scope

_WAITED: Final = "waited_s"


@contextmanager
def not_timed(scope: Scope) -> Iterator[None]:
    """Exclude the time of a block from the duration of a request."""
    began = time.perf_counter()
    try:
        yield
    finally:
        _leave_out(scope, time.perf_counter() - began)


def _leave_out(scope: Scope, seconds: float) -> None:
    state = scope.setdefault("state", {})
    state[_WAITED] = state.get(_WAITED, 0.0) + seconds


def waited_s(scope: Scope) -> float:
    """Return the time that is excluded so far, s."""
    return float(scope.get("state", {}).get(_WAITED, 0.0))


def without_arrival(scope: Scope, receive: Receive) -> Receive:
    """Return a ``receive`` that excludes the time in which the body arrives."""
    arrived = False

    async def receive_body() -> Message:
        nonlocal arrived
        if arrived:
            return await receive()  # waits for the client to go: beside the work, not before it
        began = time.perf_counter()
        message = await receive()
        _leave_out(scope, time.perf_counter() - began)
        arrived = not message.get("more_body", False)
        return message

    return receive_body
