"""``Prefer: wait=N``: an answer that comes when the jobs have ended (docs/beyond-vendor.md)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from stemline.api.context import RequestContext
from stemline.api.durations import not_timed
from stemline.api.hub import EventsGone
from stemline.jobs.errors import RequestRefused, StemlineError, TooManyListeners
from stemline.jobs.job import Job
from stemline.jobs.states import ENDED
from stemline.wire import queries

LONGEST_S: Final = 60
"""Longest wait that a request may ask for, s."""


def wanted_s(context: RequestContext) -> int:
    """Return how long a request waits for its jobs, s: as long as it asks for and the settings allow.

    Raises:
        RequestRefused: What it asks for is not a number, or too long.
    """
    wait_s: int = queries.WAIT_HEADERS.read_parameters(context.headers).get("wait_s") or 0
    if wait_s > LONGEST_S:
        raise RequestRefused(f"Prefer: wait must be at most {LONGEST_S} s.")
    return min(wait_s, context.settings.listeners.max_wait_s)


async def answer(
    context: RequestContext,
    request: Request,
    find: Callable[[], Sequence[Job | None]],
    wait_s: float,
    respond: Callable[[Sequence[Job | None]], Response],
) -> Response:
    """Return the response as soon as all jobs have ended, or after a time.

    It comes earlier if the server stops, or at once if too many requests wait already, because a stored
    submission is answered in any case.

    Args:
        context: Context of the request.
        request: The request, whose body is read.
        find: Returns the jobs as they are now.
        wait_s: Longest wait, s; 0 for none.
        respond: Makes the response of jobs.
    """
    if not wait_s:
        return await run_in_threadpool(lambda: respond(find()))  # a second thread would cost as much again
    return await answer_later(context, request, await run_in_threadpool(find), wait_s, respond)


async def answer_later(
    context: RequestContext,
    request: Request,
    jobs: Sequence[Job | None],
    wait_s: float,
    respond: Callable[[Sequence[Job | None]], Response],
) -> Response:
    """Return the response as :func:`answer` does, of jobs that are found already."""
    try:
        with context.services.hub.admit(context.principal.id, context.tenant), not_timed(request.scope):
            await _wait(context, request, [job.id for job in jobs if job is not None], wait_s)
    except TooManyListeners:
        return await run_in_threadpool(respond, jobs)
    ids = [job.id if job else "" for job in jobs]
    try:
        found = await run_in_threadpool(context.store.jobs.get, context.tenant, ids)
    except StemlineError:
        return await run_in_threadpool(respond, jobs)
    shown = [new or old for new, old in zip(found, jobs, strict=True)]
    response = await run_in_threadpool(respond, shown)
    response.headers["Preference-Applied"] = f"wait={wait_s}"
    return response


async def _wait(context: RequestContext, request: Request, ids: Sequence[str], wait_s: float) -> None:
    """Wait until jobs have ended, the client is gone, the server stops, or for a time."""
    max_s = min(wait_s, context.settings.server.answer_timeout_s / 2)
    tasks = {asyncio.create_task(_until_ended(context, ids)), asyncio.create_task(disconnected(request))}
    try:
        await asyncio.wait(tasks, timeout=max_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def disconnected(request: Request) -> None:
    """Return when no client waits for the response any more, or the server stops."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _until_ended(context: RequestContext, ids: Sequence[str]) -> None:
    while True:
        last, jobs = await run_in_threadpool(context.store.events.begin, context.tenant, ids)
        open_ids = {job.id for job in jobs if job is not None and job.state not in ENDED}
        if not open_ids:
            return
        try:
            async for events in context.services.hub.follow(context.tenant, last, every_s=60):
                open_ids -= {event.subject for event in events if event.state in ENDED}
                if not open_ids:
                    return
        except EventsGone:
            continue
