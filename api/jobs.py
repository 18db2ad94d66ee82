"""Jobs: submit, query, list, cancel (docs/wire/wire.md, 3 and 4)."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace

from fastapi import APIRouter
from opentelemetry.trace import SpanKind
from starlette.responses import Response

from stemline.api.context import ReadContext, RequestContext, WriteContext
from stemline.jobs.errors import AsrBucketUnBinded, Forbidden, RequestRefused
from stemline.jobs.job import JobSpec
from stemline.jobs.separation import TAG
from stemline.jobs.states import State
from stemline.jobs.store import Idempotency, JobFilter
from stemline.runtime.telemetry import annotate, traceparent
from stemline.wire import params as read
from stemline.wire import views
from stemline.wire.job_request import MQ_REGIONS, specifications

router = APIRouter()

MAX_IDS = 10
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_CURSOR = re.compile(r"[0-9]{1,16}")


@router.post("/jobs", name="create_jobs")
def create_jobs(context: WriteContext) -> Response:
    """Create one job per operation of the request; they are stored durably before the answer."""
    tenant = context.tenant
    if not context.settings.tenants.auto_open and not context.store.tenants.is_open(tenant):
        raise AsrBucketUnBinded
    regions = tuple(dict.fromkeys((*MQ_REGIONS, *context.settings.tdmq.endpoints)))
    specs = specifications(
        context.fields(),
        tenant,
        lambda template: context.store.templates.get(tenant, template),
        mq_regions=regions,
    )
    specs = [_submitted_by(context, spec) for spec in specs]
    with context.services.tracer.span(
        "submit", _trace(context), kind=SpanKind.SERVER, request_id=context.request_id
    ) as span:
        traced = [replace(spec, trace=traceparent(span)) for spec in specs]
        jobs = context.store.jobs.create(traced, idempotency=_idempotency(context))
        annotate(span, jobs=[job.id for job in jobs])
    # The answer says Submitted also for a paused queue; later answers say Pause (docs/wire/wire.md, 4.4).
    accepted = [replace(job, state=State.SUBMITTED) if job.state is State.PAUSE else job for job in jobs]
    return context.respond({"JobsDetail": [views.job_detail(job) for job in accepted]})


@router.get("/jobs/{ids}", name="get_jobs")
def get_jobs(context: ReadContext, ids: str) -> Response:
    """Return jobs by their ids; unknown ids are listed in the answer."""
    wanted = _ids(ids)
    found = context.store.jobs.get(context.tenant, wanted)
    details = [views.job_detail(job) for job in found if job is not None]
    missing = [job_id for job_id, job in zip(wanted, found, strict=True) if job is None]
    tree: views.Tree = {"JobsDetail": details} if details else {}
    return context.respond(tree | ({"NonExistJobIds": missing} if missing else {}))


@router.get("/jobs", name="list_jobs")
def list_jobs(context: ReadContext) -> Response:
    """List a page of jobs by creation time."""
    tenant, query = context.tenant, context.query
    tag = query.get("tag")
    if tag is None:
        raise RequestRefused("tag is missing.")
    filters = _filters(context)
    others = query.get("workflowid") or query.get("inventorytriggerjobid")
    queue_type = query.get("queuetype", views.QUEUE_TYPE)
    if tag != TAG or others or (filters.queue_id is None and queue_type != views.QUEUE_TYPE):
        details, cursor = [], None
    else:
        found = context.store.jobs.search(tenant, filters)
        details, cursor = [views.job_detail(job) for job in found.items], found.cursor
    nothing: str | list[str] = [] if context.json else ""  # the Python SDK turns an empty element into []
    return context.respond({"JobsDetail": details or nothing, "NextToken": cursor or ""})


@router.put("/jobs/{ids}", name="cancel_jobs")
def cancel_jobs(context: WriteContext, ids: str) -> Response:
    """Cancel jobs, all or none; ``?cancel`` is optional, because Java omits it."""
    context.store.jobs.cancel(context.tenant, _ids(ids))
    return Response()


def _ids(text: str) -> tuple[str, ...]:
    ids = read.listed({"ids": text}, "ids")
    if not 1 <= len(ids) <= MAX_IDS:
        raise RequestRefused(f"One to {MAX_IDS} job ids are allowed.")
    return ids


def _submitted_by(context: RequestContext, spec: JobSpec) -> JobSpec:
    """Return the specification with its submitter, who must be allowed to use the output bucket."""
    if not context.principal.may_use(spec.output.bucket):
        raise Forbidden("This credential may not write to the output bucket.")
    return replace(spec, credential=context.principal.id)


def _trace(context: RequestContext) -> str:
    trace = context.headers.get("traceparent", "")
    return trace if _TRACEPARENT.fullmatch(trace) else ""


def _idempotency(context: RequestContext) -> Idempotency | None:
    key = context.headers.get("idempotency-key")
    if key is None:
        return None
    if not _IDEMPOTENCY_KEY.fullmatch(key):
        raise RequestRefused("Idempotency-Key must be 1 to 255 printable ASCII characters without spaces.")
    return Idempotency(key=key, body_sha256=hashlib.sha256(context.body).hexdigest())


def _filters(context: RequestContext) -> JobFilter:
    query = context.query
    cursor = query.get("nexttoken")
    if cursor is not None and not _CURSOR.fullmatch(cursor):
        raise RequestRefused("nextToken is not one that a list returned.")
    end = read.moment(context.query, "endCreationTime")
    order = read.choice({"orderByTime": query.get("orderbytime")}, "orderByTime", ("Desc", "Asc"))
    return JobFilter(
        states=_states(context),
        queue_id=query.get("queueid"),
        start=read.moment(context.query, "startCreationTime"),
        end=end + 999_999 if end is not None else None,  # inclusive: to the end of that second
        input_object=query.get("inputobject"),
        order=order or "Desc",
        size=read.integer({"size": query.get("size")}, "size", least=1, most=100) or 10,
        cursor=cursor,
    )


def _states(context: RequestContext) -> frozenset[State] | None:
    names = read.listed(context.query, "states")
    try:
        states = frozenset(State(name) for name in names if name != "All")
    except ValueError:
        raise RequestRefused(f"states must be All or a list of {', '.join(State)}.") from None
    return None if "All" in names or not states else states
