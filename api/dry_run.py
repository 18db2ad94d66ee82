"""A dry run: a submission that is checked, with a worker's probe of its source (docs/beyond-vendor.md)."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from stemline.api.context import RequestContext
from stemline.api.credentials import ANONYMOUS
from stemline.api.durations import not_timed
from stemline.api.http.clients import client_of
from stemline.api.waiting import disconnected
from stemline.jobs.callback import CallbackRequest
from stemline.jobs.errors import QueueFull, QueueNotFound, TooManyListeners
from stemline.jobs.estimate import Pace, ended_at, started_at
from stemline.jobs.job import JobSpec
from stemline.jobs.probe import Probe, Question
from stemline.jobs.queue import Queue
from stemline.jobs.serving import wait_reason
from stemline.jobs.states import QueueState
from stemline.jobs.store import QueueFilter, QueueLoad
from stemline.jobs.worker import what_is_missing
from stemline.wire import views

PROBE_S: Final = 5.0
"""How long the answer waits for a worker, s."""
_LOOK_S: Final = 0.05
_LONGEST_LOOK_S: Final = 0.5
"""An answer is looked for ever less often, from one pause to the other: hundreds of clients may wait, s."""


async def answer(context: RequestContext, request: Request, specs: Sequence[JobSpec]) -> Response:
    """Return what is known of jobs that would be submitted.

    Args:
        context: Context of the request.
        request: The request, whose body is read.
        specs: The jobs, which are valid.

    Raises:
        QueueNotFound: A job names an unknown queue.
        QueueFull: Its queue has no room.
    """
    queues = await run_in_threadpool(_queues, context, specs)
    probe = await _probe(context, request, specs)
    estimates = await run_in_threadpool(_estimates, context, specs, queues, probe)
    return context.respond(views.DRY_RUN, source=probe, items=estimates)


def _queues(context: RequestContext, specs: Sequence[JobSpec]) -> list[Queue]:
    """Return the queue of each job, in which there is room."""
    known = context.store.queues.search(context.tenant, QueueFilter(size=100)).items
    loads = {load.id: load for load in context.store.statistics.of_tenant(context.tenant).queues}
    found = []
    for spec in specs:
        queue = next((each for each in known if spec.queue_id in {"", each.id}), None)
        if queue is None:
            raise QueueNotFound
        found.append(queue)
        load = loads.get(queue.id)
        waiting = sum(load.waiting) if load else 0
        if waiting + found.count(queue) > queue.max_size:
            raise QueueFull
    return found


async def _probe(context: RequestContext, request: Request, specs: Sequence[JobSpec]) -> Probe | None:
    """Return a worker's probe of the source; ``None`` if no worker answers in time, or none may be asked."""
    try:
        with context.services.hub.admit(context.principal.id, context.tenant), not_timed(request.scope):
            asked = asyncio.create_task(_ask(context, specs, _asker(context, request)))
            gone = asyncio.create_task(disconnected(request))
            try:
                await asyncio.wait({asked, gone}, return_when=asyncio.FIRST_COMPLETED)
                return asked.result() if asked.done() else None
            finally:
                for task in (asked, gone):
                    task.cancel()
                await asyncio.gather(asked, gone, return_exceptions=True)
    except TooManyListeners:
        return None


def _asker(context: RequestContext, request: Request) -> str:
    """Return whose turn it is: that of a credential, or of the address of a client without one."""
    if context.principal.id == ANONYMOUS and request.client:
        return client_of(request.client.host)
    return context.principal.id


async def _ask(context: RequestContext, specs: Sequence[JobSpec], asker: str) -> Probe | None:
    probes, end = context.store.probes, asyncio.get_running_loop().time() + PROBE_S
    # A worker needs no more of a job than its source and its parameters.
    bare = [
        replace(spec, callback=CallbackRequest(), user_data=None, credential="", trace="") for spec in specs
    ]
    until = await run_in_threadpool(context.store.now) + round(PROBE_S * 1e6)
    question = Question(uuid.uuid4().hex, tuple(bare), until, asker)
    if not await run_in_threadpool(probes.ask, question):
        return None
    pause_s = _LOOK_S
    while asyncio.get_running_loop().time() < end:
        found = await run_in_threadpool(probes.answered, question.id)
        if found is not None:
            return found
        await asyncio.sleep(pause_s)
        pause_s = min(1.5 * pause_s, _LONGEST_LOOK_S)
    return None


def _estimates(
    context: RequestContext, specs: Sequence[JobSpec], queues: Sequence[Queue], probe: Probe | None
) -> list[dict[str, Any]]:
    """Return what is expected of each job, as far as it is known."""
    statistics = context.store.statistics
    load, totals = statistics.of_tenant(context.tenant), statistics.read(0).totals
    loads = {each.id: each for each in load.queues}
    duration_s = probe.duration_s if probe else None
    now, found = context.store.now(), []
    living = [each for each in context.store.workers.latest() if each.is_alive(now) and each.levels]
    for number, (spec, queue) in enumerate(zip(specs, queues, strict=True)):
        missing = what_is_missing(living, spec.level, spec.wants)
        if reason := wait_reason(missing, spec.level, spec.wants):
            found.append({"stems": len(spec.tracks()), "message": reason})
            continue
        own = loads.get(queue.id)
        pace = Pace(context.store.now(), own.running if own else 0, load.mean_runs.get(queue.id))
        start, run_s = None, None
        if duration_s is not None and (ratio := work_per_audio(totals, spec.wants)) is not None:
            run_s = duration_s * ratio
        if queue.state is QueueState.ACTIVE:
            start = _start(pace, queue, own, spec, number)
        mean = round(run_s * 1e6) if run_s is not None else pace.mean_run
        found.append(
            {
                "start": start,
                "end": ended_at(replace(pace, mean_run=mean), start),
                "run_s": run_s,
                "stems": len(spec.tracks()),
                "stem_bytes": probe.stem_bytes[number] if probe and probe.stem_bytes else None,
            }
        )
    return found


def work_per_audio(totals: Mapping[str, int], wants: str) -> float | None:
    """Return how long jobs ran for a second of audio: jobs that want the same model, or else all jobs."""
    work_ms, audio_ms = (totals.get(f"{what}_ms_of:{wants}", 0) for what in ("work", "audio"))
    if not audio_ms:
        work_ms = sum(value for name, value in totals.items() if name.startswith("work_ms:"))
        audio_ms = totals.get("audio_ms", 0)
    return work_ms / audio_ms if audio_ms else None


def _start(pace: Pace, queue: Queue, load: QueueLoad | None, spec: JobSpec, number: int) -> int | None:
    """Return when a job would start behind the waiting jobs of its level and of those above."""
    ahead = sum(load.waiting[spec.level :]) + number if load else number
    if ahead + pace.running < queue.slots:
        return max(pace.now, spec.not_before or 0)
    start = started_at(pace, ahead)
    return None if start is None else max(start, spec.not_before or 0)
