"""What counts as the duration of a request."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.responses import Response

from stemline.api import dry_run, durations, waiting
from stemline.api.hub import EventHub
from stemline.api.middleware import RequestLifecycleMiddleware
from stemline.testing.in_memory_store import InMemoryStore
from tests.support.logs import captured_logs


class Clock:
    """Seconds that pass only where a test says so."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now


class Metrics:
    """Keeps what is observed."""

    def observe(self, _scope: Any, _status: int, seconds: float) -> None:
        self.seconds = seconds


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("stemline.api.middleware.time", clock)
    monkeypatch.setattr("stemline.api.durations.time", clock)
    return clock


def served(clock: Clock, application: Any, body: tuple[bytes, ...] = (b"",), each_s: float = 0.0):
    """Serve one request, and return its duration and the line about it."""
    parts = list(body)
    metrics: Any = Metrics()

    async def receive() -> dict[str, Any]:
        clock.now += each_s
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(_message: Any) -> None:
        pass

    scope = {"type": "http", "raw_path": b"/jobs", "path": "/jobs", "method": "POST", "headers": []}
    middleware = RequestLifecycleMiddleware(application, metrics)
    with captured_logs() as lines:
        asyncio.run(middleware(scope, receive, send))
    (line,) = (each for each in lines if each["event"] == "request.answered")
    return metrics.seconds, line


def test_a_slow_client_does_not_make_the_service_slow(clock) -> None:
    """The arrival of a body is left out, the work before and after it is not."""

    async def application(_scope: Any, receive: Any, send: Any) -> None:
        clock.now += 0.25
        while (await receive())["more_body"]:
            pass
        clock.now += 0.5
        await send({"type": "http.response.start", "status": 200})

    seconds, line = served(clock, application, (b"a", b"b", b"c"), each_s=10.0)
    assert 0.75 == seconds
    assert (30750.0, 30000.0) == (line["ms"], line["waited_ms"])


@pytest.mark.parametrize("wait", ["prefer", "probe"])
def test_what_a_client_asks_to_wait_for_is_left_out(clock, wait, monkeypatch) -> None:
    """The wait for jobs (Prefer: wait) and for the probe of a dry run are no slowness."""

    async def pass_time(*_: Any) -> None:
        clock.now += 20.0

    context: Any = SimpleNamespace(
        principal=SimpleNamespace(id="key"),
        services=SimpleNamespace(hub=EventHub(InMemoryStore().events, limit=1, limit_per_credential=1)),
        store=SimpleNamespace(jobs=SimpleNamespace(get=lambda *_: [])),
        tenant=None,
    )

    async def application(scope: Any, receive: Any, send: Any) -> None:
        clock.now += 0.5
        request: Any = SimpleNamespace(scope=scope, receive=receive)
        if wait == "prefer":
            monkeypatch.setattr(waiting, "_wait", pass_time)
            await waiting.answer(context, request, list, 20, lambda _: Response())
        else:
            monkeypatch.setattr(dry_run, "_ask", pass_time)
            await dry_run._probe(context, request, [])
        await send({"type": "http.response.start", "status": 200})

    seconds, line = served(clock, application)
    assert 0.5 == seconds
    assert 20000.0 == line["waited_ms"]


def test_waits_add_up() -> None:
    """A request may wait more than once; without a wait nothing is left out."""
    scope: dict[str, Any] = {}
    assert 0.0 == durations.waited_s(scope)
    for _ in range(2):
        before = durations.waited_s(scope)
        with durations.not_timed(scope):
            pass
        assert durations.waited_s(scope) > before
