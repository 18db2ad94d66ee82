"""Batches: many jobs that are submitted, watched and stopped as one (docs/beyond-vendor.md)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from stemline.api.admission import ReadContext, StreamContext, WriteContext, is_lines
from stemline.api.batch_upload import from_body, from_manifest
from stemline.api.bulk import retry_all
from stemline.api.context import RequestContext
from stemline.api.routing import Router
from stemline.api.submitter import check_queues
from stemline.jobs.batch import Batch
from stemline.jobs.errors import NoSuchBatch
from stemline.jobs.states import State
from stemline.jobs.store import JobFilter
from stemline.wire import queries, views

router = Router()


@router.post("/batches", name="create_batch")
async def create_batch(context: StreamContext, request: Request) -> Response:
    """Create a batch of up to 100,000 rows, from the lines of the body or of an object of the bucket."""
    if is_lines(context.headers):
        upload = await from_body(context, request)
    else:
        upload = await context.at_store(request, lambda: from_manifest(context))
    return await run_in_threadpool(_accepted, context, upload.id)


def _accepted(context: RequestContext, batch: str) -> Response:
    context.watch_budget()
    return context.respond(views.BATCH_ANSWER, batch=_known(context, batch))


@router.get("/batches", name="list_batches")
async def list_batches(context: ReadContext, request: Request) -> Response:
    """List the batches of the bucket, the latest first."""
    query = queries.BATCHES.read_parameters(context.query)
    return await context.of_page(request, query["size"], lambda: _list(context, query))


def _list(context: RequestContext, query: dict[str, Any]) -> Response:
    found = context.store.batches.search(context.tenant, **query)
    return context.respond(views.BATCH_LIST, items=found.items, total=found.total, **query)


@router.get("/batches/{batch}", name="get_batch")
def get_batch(context: ReadContext, batch: str) -> Response:
    """Return a batch with its counts."""
    return context.respond(views.BATCH_ANSWER, batch=_known(context, batch))


@router.post("/batches/{batch}/pause", name="pause_batch")
def pause_batch(context: WriteContext, batch: str) -> Response:
    """Let no further job of the batch start; running ones go on."""
    _changeable(context, batch)
    context.store.batches.pause(context.tenant, batch)
    return context.respond(views.BATCH_ANSWER, batch=_known(context, batch))


@router.post("/batches/{batch}/resume", name="resume_batch")
def resume_batch(context: WriteContext, batch: str) -> Response:
    """Let the jobs of a paused batch start again."""
    _changeable(context, batch)
    context.store.batches.resume(context.tenant, batch)
    return context.respond(views.BATCH_ANSWER, batch=_known(context, batch))


@router.post("/batches/{batch}/cancel", name="cancel_batch")
async def cancel_batch(context: WriteContext, request: Request, batch: str) -> Response:
    """Cancel every row of the batch that has not ended."""
    return await context.of_many_records(request, lambda: _cancel(context, batch))


def _cancel(context: RequestContext, batch: str) -> Response:
    jobs, tenant = context.store.jobs, context.tenant
    _changeable(context, batch)
    context.store.batches.cancel(tenant, batch)
    which = JobFilter(batch=batch, order="Asc", size=250)
    while (part := jobs.cancel_where(tenant, which)).cursor is not None:
        which = replace(which, cursor=part.cursor)
    return context.respond(views.BATCH_ANSWER, batch=_known(context, batch))


@router.post("/batches/{batch}/retry", name="retry_batch")
async def retry_batch(context: WriteContext, request: Request, batch: str) -> Response:
    """Retry the failed rows of the batch, which then count for their new jobs."""
    return await context.of_many_records(request, lambda: _retry(context, batch))


def _retry(context: RequestContext, batch: str) -> Response:
    known = _changeable(context, batch)
    return retry_all(context, JobFilter(batch=known.id, states=frozenset({State.FAILED})))


def _known(context: RequestContext, batch: str) -> Batch:
    found = context.store.batches.get(context.tenant, batch)
    if found is None:
        raise NoSuchBatch
    return found


def _changeable(context: RequestContext, batch: str) -> Batch:
    """Return a batch whose queue the credential may use."""
    known = _known(context, batch)
    check_queues(context, {known.spec.queue_id})
    return known
