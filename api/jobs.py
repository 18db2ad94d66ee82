"""Jobs: submit, query, list, cancel (docs/wire/wire.md, 3 and 4)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from opentelemetry.trace import SpanKind
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from stemline.api import dry_run, waiting
from stemline.api.admission import ReadContext, WriteContext
from stemline.api.context import RequestContext
from stemline.api.routing import Router
from stemline.api.submissions import Steps
from stemline.api.submitter import again, check_queues, submitted_by
from stemline.jobs.errors import IllegalTransition, NoSuchResource, RequestRefused
from stemline.jobs.job import Job, JobSpec
from stemline.jobs.separation import TAG
from stemline.jobs.states import RETRIABLE, State
from stemline.jobs.store import Idempotency, JobFilter, Page, Submission
from stemline.runtime.telemetry import annotate, traceparent
from stemline.wire import queries, views
from stemline.wire.job import QUEUE_TYPE
from stemline.wire.job_request import job_specs

router = Router()

WAVEFORM_RATE = 44_100
"""Hz; the rate at which sources are separated."""

_LIKE_RECORDS: Final = 100
"""The cost of reading waveforms, as a number of records."""
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


@router.post("/jobs", name="create_jobs")
async def create_jobs(context: WriteContext, request: Request) -> Response:
    """Create one job per operation of the request, stored durably before the answer, or only try it."""
    wait_s = waiting.wanted_s(context)
    asked = queries.SUBMIT.read_parameters(context.query)
    if asked["dry_run"] == "true":
        specs = await run_in_threadpool(tried, context)
        if asked["probe"] == "false":
            return context.respond(views.DRY_RUN, items=[])
        return await dry_run.answer(context, request, specs)

    def respond(shown: Sequence[Job | None]) -> Response:
        return context.respond(views.CREATED_JOBS, items=shown)

    def answered() -> Steps[Response]:
        return respond((yield from _create(context)))

    if not wait_s:
        return await context.services.submissions.run(context.store, answered())
    jobs = await context.services.submissions.run(context.store, _create(context))
    return await waiting.answer_later(context, request, jobs, wait_s, respond)


def _specs(context: RequestContext) -> list[JobSpec]:
    """Return the jobs that a request asks for, which its credential may submit."""
    tenant, store = context.tenant, context.store
    if not context.settings.tenants.auto_open:  # otherwise the store says so
        context.check_open()
    specs = job_specs(
        context.fields(),
        tenant,
        lambda template_id: store.templates.get(tenant, template_id),
        mq_regions=context.mq_regions,
    )
    specs = [submitted_by(context, spec) for spec in specs]
    check_queues(context, {spec.queue_id for spec in specs})
    return specs


def tried(context: RequestContext) -> list[JobSpec]:
    """Return the jobs that would be created, if the budget allows them; nothing is stored."""
    context.check_open()
    specs = _specs(context)
    context.check_budget(len(specs))
    context.watch_budget()
    return specs


def _create(context: RequestContext) -> Steps[list[Job]]:
    """Check a request, yield what it stores, and return the jobs as they are answered."""
    store, idempotency = context.store, _idempotency(context)
    try:
        specs = _specs(context)
    except RequestRefused:
        # What was accepted once may be refused now: its Deadline has passed, its template is gone.
        before = store.jobs.repeated(context.tenant, idempotency) if idempotency else None
        if before is None:
            raise
        return _as_answered(before)
    with context.services.tracer.span(
        "submit", _trace(context), kind=SpanKind.SERVER, request_id=context.request_id
    ) as span:
        if trace := traceparent(span):
            specs = [replace(spec, trace=trace) for spec in specs]
        jobs = yield Submission(specs, idempotency, context.new_queue, context.policy.budget)
        annotate(span, jobs=[job.id for job in jobs])
    context.watch_budget()
    return _as_answered(jobs)


def _as_answered(jobs: Sequence[Job]) -> list[Job]:
    """Return jobs as the answer shows them, Submitted also in a paused queue; later answers say Pause.

    See docs/wire/wire.md, 4.4.
    """
    return [replace(job, state=State.SUBMITTED) if job.state is State.PAUSE else job for job in jobs]


@router.get("/jobs/{ids}", name="get_jobs")
async def get_jobs(context: ReadContext, request: Request, ids: str) -> Response:
    """Return jobs by their ids; unknown ids are listed in the answer."""
    wanted, wait_s = queries.id_list(ids, "job"), waiting.wanted_s(context)

    def respond(shown: Sequence[Job | None]) -> Response:
        missing = [job_id for job_id, job in zip(wanted, shown, strict=True) if job is None]
        return context.respond(views.JOBS, items=list(filter(None, shown)), missing=missing)

    return await waiting.answer(
        context, request, lambda: context.store.jobs.get(context.tenant, wanted), wait_s, respond
    )


@router.get("/jobs/{job_id}/waveform", name="get_waveforms")
async def get_waveforms(context: ReadContext, request: Request, job_id: str) -> Response:
    """Return the waveforms of a job's source and of its stems."""
    return await context.of_page(request, _LIKE_RECORDS, lambda: _waveforms(context, job_id))


def _waveforms(context: RequestContext, job_id: str) -> Response:
    found = context.store.jobs.waveforms(context.tenant, job_id)
    if found is None:
        raise NoSuchResource("The job does not exist.")
    return context.respond(views.WAVEFORMS, items=found, job_id=job_id, samplerate=WAVEFORM_RATE)


@router.get("/jobs", name="list_jobs")
async def list_jobs(context: ReadContext, request: Request) -> Response:
    """List a page of jobs by creation time."""
    query = queries.JOBS.read_parameters(context.query)
    return await context.of_page(request, query["size"], lambda: _list(context, query))


def _list(context: RequestContext, query: dict[str, Any]) -> Response:
    tenant = context.tenant
    tag, queue_type, others = query.pop("tag"), query.pop("queue_type"), query.pop("others", False)
    filters = JobFilter(**query)
    found: Page[Job] = Page([], None)
    if tag == TAG and not others and (filters.queue_id or queue_type == QUEUE_TYPE):
        found = context.store.jobs.search(tenant, filters)
    return context.respond(views.JOB_LIST, items=found.items, cursor=found.cursor or "")


@router.put("/jobs/{ids}", name="cancel_jobs")
def cancel_jobs(context: WriteContext, ids: str) -> Response:
    """Cancel jobs, all or none; ``?cancel`` is optional, because Java omits it."""
    wanted = queries.id_list(ids, "job")
    if not context.policy.allows_every_queue:
        found = context.store.jobs.get(context.tenant, wanted)
        check_queues(context, {job.spec.queue_id for job in found if job is not None})
    context.store.jobs.cancel(context.tenant, wanted)
    return Response()


@router.post("/jobs/{ids}/retry", name="retry_jobs")
def retry_jobs(context: WriteContext, ids: str) -> Response:
    """Create a new job for each of these failed or cancelled ones, all or none."""
    wanted = tuple(dict.fromkeys(queries.id_list(ids, "job")))
    found = context.store.jobs.get(context.tenant, wanted)
    specs = []
    for job_id, job in zip(wanted, found, strict=True):
        if job is None:
            raise RequestRefused(f"The job {job_id} does not exist.")
        if job.state not in RETRIABLE:
            raise IllegalTransition(f"The job {job_id} is {job.state} and cannot be retried.")
        specs.append(again(context, job))
    check_queues(context, {spec.queue_id for spec in specs})
    key = queries.RETRY_HEADERS.read_parameters(context.headers).get("key")
    # The body is empty: requests differ by their paths.
    idempotency = Idempotency(key, hashlib.sha256(f"retry {ids}".encode()).hexdigest()) if key else None
    jobs = context.store.jobs.create(specs, idempotency=idempotency, budget=context.policy.budget)
    context.watch_budget()
    return context.respond(views.CREATED_JOBS, items=jobs)


def _trace(context: RequestContext) -> str:
    trace = context.headers.get("traceparent", "")
    return trace if _TRACEPARENT.fullmatch(trace) else ""


def _idempotency(context: RequestContext) -> Idempotency | None:
    key = queries.SUBMIT_HEADERS.read_parameters(context.headers).get("key")
    return Idempotency(key, hashlib.sha256(context.body).hexdigest()) if key else None
