"""The API's application in simulated processes, and a client's way to it.

The application runs without an event loop: nothing in it waits but calls of the store, which let other tasks
go on by themselves.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, Final, TypeVar, cast
from unittest.mock import patch

import anyio.to_thread
from starlette.requests import Request

from stemline.api.app import create_app
from stemline.api.bodies import BodyBudget
from stemline.api.credentials import Principals
from stemline.api.hosts import HostTable
from stemline.api.limits import RateLimit
from stemline.api.metrics import ApiMetrics
from stemline.api.services import Services
from stemline.api.submissions import Asked, Steps, run_together
from stemline.jobs.store import Store
from stemline.runtime.credentials import CredentialFiles
from stemline.runtime.settings import Settings
from stemline.runtime.telemetry import Tracer
from stemline.storage import Buckets
from tests.simulation.bucket import freeze
from tests.simulation.scheduler import Process, Scheduler

T = TypeVar("T")

_LOST, _DIES_BEFORE, _STOPS, _DIES_AFTER, _ANSWER_LOST = range(1, 6)
_FAULTS: Final = 6
_ANSWER_TIMEOUT_S: Final = 20.0
_AGAIN: Final = frozenset({429, 500, 503})
"""Answers after which a client asks again."""


@dataclass(frozen=True)
class Answer:
    """What a client was answered."""

    status: int
    content: Any
    """JSON; None where the answer has no body."""


class _LongRequests:
    """Stands in for the threads of requests that take long."""

    async def run(self, _request: object, _bucket: str, call: Callable[[], T]) -> T:
        return call()


class _Submissions:
    """Stands in for the threads of submissions."""

    async def run(self, store: Store, steps: Steps[T]) -> T:
        asked = Asked(steps)
        run_together(store, [asked])
        return asked.result()


class Application:
    """The product's application. It keeps nothing of a run: each call brings the store of its process."""

    def __init__(self, settings: Settings) -> None:
        """Make the application, which is slow."""
        long: Any = _LongRequests()
        submissions: Any = _Submissions()
        unknown: Any = None
        self._services = Services(
            settings=settings,
            store=unknown,
            hosts=HostTable(settings),
            principals=Principals(CredentialFiles.of(settings).key_pairs, settings),
            buckets=unknown,
            limit=RateLimit(0, 1),
            bodies=BodyBudget(settings.server.body_memory_bytes),
            metrics=ApiMetrics(),
            tracer=Tracer(),
            hub=unknown,
            submissions=submissions,
            at_stores=long,
            of_many_records=long,
            of_pages=long,
        )
        self._stack = create_app(self._services).build_middleware_stack()

    def call(
        self,
        store: Store,
        buckets: Buckets,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes,
    ) -> Answer:
        """Answer a request in the process of the task that runs."""
        bodies = BodyBudget(self._services.settings.server.body_memory_bytes)
        services = replace(self._services, store=store, buckets=buckets, bodies=bodies, clock=_now)
        path, _, query = target.partition("?")
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 1),
            "app": SimpleNamespace(state=SimpleNamespace(services=services)),
        }
        received = iter([{"type": "http.request", "body": body, "more_body": False}])
        sent: list[Any] = []

        async def receive() -> Any:
            return next(received)

        async def send(message: Any) -> None:
            sent.append(message)

        _finish(cast("Coroutine[Any, Any, None]", self._stack(scope, receive, send)))
        content = b"".join(part.get("body", b"") for part in sent)
        return Answer(sent[0]["status"], json.loads(content) if content else None)


def _finish(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that never waits for an event loop."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise RuntimeError("the application waits for something that the simulation does not have")


def _now() -> float:
    """Return the time of the process, Unix s."""
    return time.time()


async def _run_here(call: Callable[..., T], *args: Any, **_: Any) -> T:
    """Stand in for a thread."""
    return call(*args)


async def _chunks(request: Request, *, within_s: float) -> AsyncGenerator[bytes, None]:
    """Yield the body, which is here."""
    async for chunk in request.stream():
        yield chunk


@contextmanager
def without_event_loop() -> Iterator[None]:
    """Replace what the application does with an event loop."""
    with (
        patch.object(anyio.to_thread, "run_sync", _run_here),
        patch("stemline.api.admission.chunks_of", _chunks),
        patch("stemline.api.batch_upload.chunks_of", _chunks),
    ):
        yield


@dataclass
class Network:
    """Takes requests of clients to one of the API's processes, and answers back, or loses them."""

    scheduler: Scheduler
    host: str
    answer: Callable[[Process, str, str, Mapping[str, str], bytes], Answer]
    processes: dict[str, Process] = field(default_factory=dict)

    def ask(
        self, method: str, target: str, content: object = None, *, key: str = "", lines: bool = False
    ) -> Answer | None:
        """Send a request from the task of a client; return the answer, or None if none came."""
        scheduler = self.scheduler
        fault = scheduler.choices.rare(_FAULTS, "request")
        scheduler.point()
        living = [each for each in self.processes.values() if not each.is_dead]
        if not living or fault == _LOST:
            return None
        process = living[scheduler.choices.pick(len(living))]
        headers = {"host": self.host, "accept": "application/json", "content-type": "application/json"}
        headers |= {"idempotency-key": key} if key else {}
        body = b"" if content is None else json.dumps(content).encode()
        if lines:
            headers["content-type"] = "application/x-ndjson"
            body = "\n".join(map(json.dumps, cast("list[object]", content))).encode()
        replies: list[Answer] = []

        def serve() -> None:
            if fault == _DIES_BEFORE:
                scheduler.kill(process)
            if fault == _STOPS:
                freeze(scheduler, process)
            answer = self.answer(process, method, target, headers, body)
            scheduler.note(f"{method} {target} {key} -> {answer.status}")
            if fault == _DIES_AFTER:
                scheduler.kill(process)
            replies.append(answer)

        if fault:
            scheduler.note(f"fault {fault} of {method} {target}")
        scheduler.spawn(process, serve)
        # A request without a key that is given up could be obeyed after later ones of its client.
        scheduler.block(lambda: replies or process.is_dead, _ANSWER_TIMEOUT_S if key else None)
        return replies[0] if replies and fault != _ANSWER_LOST else None

    def insist(
        self, method: str, target: str, content: object = None, *, key: str = "", lines: bool = False
    ) -> Answer:
        """Send a request again and again until the answer says that it was obeyed or refused."""
        while True:
            answer = self.ask(method, target, content, key=key, lines=lines)
            if answer is not None and answer.status not in _AGAIN:
                return answer
            self.scheduler.sleep(1.0)
