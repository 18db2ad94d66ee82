"""One request for many jobs or callbacks, chosen by a filter (docs/beyond-vendor.md)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from stemline.api.admission import WriteContext
from stemline.api.context import RequestContext
from stemline.api.routing import Router
from stemline.api.submitter import again, check_queues
from stemline.jobs.errors import RequestRefused, StemlineError
from stemline.jobs.states import CANCELLABLE, RETRIABLE, State
from stemline.jobs.store import Counted, DeliveryFilter, JobFilter
from stemline.wire import queries, views

router = Router()

BUDGET_S: Final = 20.0
"""How long one request works, s; then its answer says where to continue."""
COUNTED_AT_ONCE: Final = 2000
CHANGED_AT_ONCE: Final = 250
"""Jobs of one call of the store, which serves other requests between two calls."""


@router.post("/bulk/jobs/cancel", name="cancel_jobs_where")
async def cancel_jobs_where(context: WriteContext, request: Request) -> Response:
    """Cancel all jobs that match the filter and have not ended."""
    return await context.of_many_records(request, lambda: _cancel(context))


def _cancel(context: RequestContext) -> Response:
    which, dry_run = _jobs(context, CANCELLABLE)
    if dry_run:
        return _count(context, which)
    return _repeat(context, which, CHANGED_AT_ONCE, context.store.jobs.cancel_where)


@router.post("/bulk/jobs/retry", name="retry_jobs_where")
async def retry_jobs_where(context: WriteContext, request: Request) -> Response:
    """Retry all failed and cancelled jobs that match the filter and were not retried yet."""
    return await context.of_many_records(request, lambda: _retry(context))


def _retry(context: RequestContext) -> Response:
    which, dry_run = _jobs(context, RETRIABLE)
    if dry_run:
        return _count(context, replace(which, unretried=True))
    return retry_all(context, which)


def retry_all(context: RequestContext, which: JobFilter) -> Response:
    """Retry all jobs that match and were not retried yet."""
    which = replace(which, unretried=True, order="Asc", is_brief=True)

    def retry(page: JobFilter) -> Counted:
        found = context.store.jobs.search(context.tenant, page)
        specs = [again(context, job) for job in found.items]
        if not specs:
            return Counted(0, found.cursor)
        # What another request has begun to retry meanwhile is left out.
        count = context.store.jobs.create_many(specs, unretried=True, budget=context.policy.budget)
        return Counted(count, found.cursor)

    done = _all(which, CHANGED_AT_ONCE, retry)
    context.watch_budget()
    return _changed(context, done)


@router.post("/bulk/callbacks/send", name="send_callbacks_where")
async def send_callbacks_where(context: WriteContext, request: Request) -> Response:
    """Send all callbacks that match the filter now; dead letters by default."""
    return await context.of_many_records(request, lambda: _send(context))


def _send(context: RequestContext) -> Response:
    query = queries.read_strictly(queries.BULK_CALLBACKS, context.params)
    dry_run = query.pop("dry_run") == "true"
    which, outbox = DeliveryFilter(**query), context.store.outbox
    if dry_run:
        return context.respond(views.BULK, matched=outbox.search(context.tenant, which).total, changed=0)
    count = outbox.send_where(context.tenant, which)
    return context.respond(views.BULK, matched=count, changed=count)


def _jobs(context: RequestContext, possible: frozenset[State]) -> tuple[JobFilter, bool]:
    """Return which jobs the filter selects, and whether they are only counted.

    Raises:
        RequestRefused: A parameter is unknown or not valid, or only jobs are meant that cannot be changed so.
    """
    query: dict[str, Any] = queries.read_strictly(queries.BULK_JOBS, context.params)
    dry_run = query.pop("dry_run") == "true"
    states = (query.pop("states", None) or possible) & possible
    if not states:
        raise RequestRefused(f"states must hold one of {', '.join(sorted(possible))}.")
    check_queues(context, {query.get("queue_id") or ""})
    # Jobs that are created later are not selected.
    end = min(query.pop("end", None) or context.store.now(), context.store.now())
    return JobFilter(states=states, end=end, order="Asc", **query), dry_run


def _count(context: RequestContext, which: JobFilter) -> Response:
    counted = _all(which, COUNTED_AT_ONCE, lambda page: context.store.jobs.count(context.tenant, page))
    return context.respond(views.BULK, matched=counted.jobs, changed=0, cursor=counted.cursor)


def _repeat(context: RequestContext, which: JobFilter, size: int, change: Callable[..., Counted]) -> Response:
    return _changed(context, _all(which, size, lambda page: change(context.tenant, page)))


def _changed(context: RequestContext, done: Counted) -> Response:
    return context.respond(views.BULK, matched=done.jobs, changed=done.jobs, cursor=done.cursor)


def _all(which: JobFilter, size: int, change: Callable[[JobFilter], Counted]) -> Counted:
    """Process all jobs that match, some at a time, until the time budget is used up."""
    end, jobs, cursor = time.monotonic() + BUDGET_S, 0, which.cursor
    while True:
        try:
            part = change(replace(which, size=size, cursor=cursor))
        except StemlineError:  # the queue is full, the budget spent, the store away, a job may not be changed
            if not jobs:
                raise
            return Counted(jobs, cursor)  # what is done is said; the rest can be asked for again
        jobs, cursor = jobs + part.jobs, part.cursor
        if cursor is None or time.monotonic() > end:
            return Counted(jobs, cursor)
