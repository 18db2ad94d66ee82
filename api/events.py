"""Server-sent events: what changes in a bucket, or with one job (docs/beyond-vendor.md)."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import replace
from functools import lru_cache, partial
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from stemline.api.admission import ReadContext
from stemline.api.context import RequestContext
from stemline.api.hub import EventsGone
from stemline.api.routing import Router
from stemline.api.waiting import disconnected
from stemline.jobs.errors import NoSuchResource, StemlineError
from stemline.jobs.event import EVENTS_KEPT, Event, place
from stemline.jobs.job import Job
from stemline.jobs.policy import Operation
from stemline.jobs.states import ENDED, WAITING, QueueState, State
from stemline.wire import queries
from stemline.wire.additions import EVENT, POSITION
from stemline.wire.codec import to_json
from stemline.wire.elements import Document

router = Router()

MEDIA_TYPE: Final = "text/event-stream"
_RECONNECT_MS: Final = 2000
_POSITION_S: Final = 2.0
"""How often the position of a waiting job is looked at, s."""
_HEARTBEAT: Final = b": heartbeat\n\n"


@router.get("/events", name="list_events")
async def list_events(context: ReadContext, request: Request) -> Response:
    """Stream what changes in the bucket: states, stages and progress of jobs, states of queues."""
    tenant, last = context.tenant, _last_event(context)
    begin, _ = await run_in_threadpool(context.store.events.begin, tenant)
    return EventStream(context, request, _tenant_events(context, begin, last))


@router.get("/jobs/{job_id}/events", name="get_job_events")
async def get_job_events(context: ReadContext, request: Request, job_id: str) -> Response:
    """Stream what changes with a job, from its present state to its end."""
    tenant, last = context.tenant, _last_event(context)
    begin, (job,) = await run_in_threadpool(context.store.events.begin, tenant, [job_id])
    if job is None:
        raise NoSuchResource("The job does not exist.")
    if last is None or job.ended is None:
        return EventStream(context, request, _job_events(context, job, begin, last))
    missed = await context.of_page(request, EVENTS_KEPT, lambda: _missed(context, job, begin, last))
    if not missed:
        return Response(status_code=204)  # a browser asks again after the end, unless it gets this
    return EventStream(context, request, _all(missed))


class EventStream(Response):
    """A response that goes on until its events end, its client goes or the server stops."""

    media_type = MEDIA_TYPE

    def __init__(self, context: RequestContext, request: Request, parts: AsyncIterator[bytes]) -> None:
        """Make the response.

        Args:
            context: Context of the request.
            request: The request.
            parts: What is sent.
        """
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._context = context
        self._request = request
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's interface
        """Send the events."""
        settings = self._context.settings
        with self._context.services.hub.admit(self._context.principal.id, self._context.tenant):
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            gone = asyncio.create_task(disconnected(self._request))
            sending = asyncio.create_task(self._send(send))
            try:
                await asyncio.wait(
                    {gone, sending},
                    timeout=settings.server.event_stream_s,
                    return_when=asyncio.FIRST_COMPLETED,
                )
            finally:
                sending.cancel()
                gone.cancel()
                await asyncio.gather(sending, gone, return_exceptions=True)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send(self, send: Send) -> None:
        async def write(part: bytes) -> None:
            await send({"type": "http.response.body", "body": part, "more_body": True})

        await write(f"retry: {_RECONNECT_MS}\n\n".encode())
        try:
            async for part in self._parts:
                await write(part)
        except StemlineError:
            pass  # the store is unavailable: the client asks again, with the last event it has got


async def _tenant_events(context: RequestContext, begin: str, known: str | None) -> AsyncIterator[bytes]:
    """Yield the events of the tenant; without a known one, the first event says where they begin."""
    last = known or begin
    if known is None:
        yield _mark("open", last)
    while True:
        try:
            async for events in _follow(context, last):
                yield b"".join(_encoded(event) for event in events if _may_see(context, event)) or _HEARTBEAT
                last = events[-1].id if events else last
        except EventsGone:
            last, _ = await _begin(context)
            yield _mark("reset", last)
        else:
            return


def _may_see(context: RequestContext, event: Event) -> bool:
    """Return whether an event is for this listener: of a budget only the owner's, as in the usage."""
    is_own = event.subject == context.principal.id
    return event.kind != "budget" or is_own or context.policy.allows(Operation.BUCKETS)


async def _job_events(
    context: RequestContext, job: Job, begin: str, last: str | None
) -> AsyncIterator[bytes]:
    """Yield the events of one job until its end; without a last event, its present state is the first."""
    state, position = None if last else job.state, b""
    if last is None:
        yield _encoded(_present(job, begin))
        if job.state in ENDED:
            return
    if job.state in WAITING:
        position = await _position(context, job.id)
        yield position or _HEARTBEAT
    looked = time.monotonic()
    try:
        async for events in _follow(context, last or begin, every_s=_POSITION_S):
            found = list(_of_job(job, state, events))
            shown = [_encoded(event) for event in found]
            state = State(found[-1].state) if found else state
            if state in WAITING and time.monotonic() - looked >= _POSITION_S:
                looked = time.monotonic()
                before, position = position, await _position(context, job.id)
                shown += [position] if position != before else []
            yield b"".join(shown) or _HEARTBEAT
            if state in ENDED:
                return
    except EventsGone:
        begin, (present,) = await _begin(context, job.id)
        yield _mark("reset", begin)
        if present is not None:
            async for part in _job_events(context, present, begin, None):
                yield part


def _missed(context: RequestContext, job: Job, begin: str, last: str) -> list[Event]:
    """Return the events of an ended job after one of them."""
    found: list[Event] = []
    if place(last) > place(begin):  # the store has lost what the client knows
        return [_present(job, begin)]
    while place(last) < place(begin):
        events = context.store.events.read(context.tenant, last)
        if events is None:
            return [_present(job, begin)]
        if not events:
            break
        found += _of_job(job, None, events)
        last = events[-1].id
    return found


async def _all(events: Iterable[Event]) -> AsyncIterator[bytes]:
    for event in events:
        yield _encoded(event)


def _of_job(job: Job, state: State | None, events: Iterable[Event]) -> Iterator[Event]:
    """Yield what events say about a job: its own, and those of its queue while it waits."""
    for event in events:
        if event.subject == job.id:
            state = State(event.state)
            yield event
        elif event.subject == job.spec.queue_id and (state in WAITING if state else _waited(job, event)):
            paused = event.state == QueueState.PAUSED
            state = State.PAUSE if paused else State.SUBMITTED
            yield replace(event, kind="job", subject=job.id, state=state, code="Success")


def _waited(job: Job, event: Event) -> bool:
    return event.at < (job.started or job.ended or event.at + 1)


def _present(job: Job, event_id: str) -> Event:
    """Return the present state of a job as if it were an event."""
    return Event(event_id, "job", job.id, job.state, job.progress, job.stage, job.code)


async def _begin(context: RequestContext, *ids: str) -> tuple[str, list[Job | None]]:
    """Return where the events of the tenant end now, and jobs as they are there."""
    look = partial(context.store.events.begin, context.tenant, ids)
    return await context.services.hub.read(context.tenant, look)


async def _position(context: RequestContext, job_id: str) -> bytes:
    """Return the event with place and estimates of a waiting job; it has no id, so it is not repeated."""
    find = partial(context.store.jobs.get, context.tenant, [job_id])
    (job,) = await context.services.hub.read(context.tenant, find)
    if job is None or job.position is None:
        return b""
    data = to_json(POSITION.write(job, Document.JSON_ANSWER))
    return b"event: position\ndata: %b\n\n" % data


async def _follow(
    context: RequestContext, last: str, *, every_s: float | None = None
) -> AsyncIterator[list[Event]]:
    """Yield new events of the tenant, as long as the credential may read them."""
    heartbeat_s = context.settings.listeners.heartbeat_s
    silence_s = min(heartbeat_s, every_s or math.inf)
    checked = time.monotonic()
    async for events in context.services.hub.follow(context.tenant, last, every_s=silence_s):
        if time.monotonic() - checked >= heartbeat_s:  # also where events never cease
            checked = time.monotonic()
            if not context.is_still_allowed():
                return
        yield events


@lru_cache(maxsize=4096)  # an event goes to many listeners
def _encoded(event: Event) -> bytes:
    data = to_json(EVENT.write(event, Document.JSON_ANSWER))
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (event.id.encode(), event.kind.encode(), data)


def _mark(kind: str, event_id: str) -> bytes:
    """Return an event without a change: a client that asks again begins there."""
    return f"id: {event_id}\nevent: {kind}\ndata: {{}}\n\n".encode()


def _last_event(context: RequestContext) -> str | None:
    """Return the id of the last event that the client knows, if it says so.

    Raises:
        RequestRefused: It is no such id.
    """
    header = queries.EVENT_HEADERS.read_parameters(context.headers)
    last: str | None = (queries.EVENT_QUERY.read_parameters(context.query) | header).get("last")
    return last
