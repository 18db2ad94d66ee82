"""Jobs: submit, query, list, cancel (docs/wire/wire.md, 3 and 4)."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace

from fastapi import APIRouter
from starlette.responses import Response

from stemline.api.context import Call, Reading, Writing
from stemline.jobs.errors import AsrBucketUnBinded, Forbidden, RequestRefused
from stemline.jobs.job import JobSpec
from stemline.jobs.separation import TAG
from stemline.jobs.states import State
from stemline.jobs.store import Idempotency, JobFilter
from stemline.wire import params as read
from stemline.wire import views
from stemline.wire.job_request import MQ_REGIONS, specifications

router = APIRouter()

MAX_IDS = 10
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_CURSOR = re.compile(r"[0-9]{1,16}")


@router.post("/jobs", name="create_jobs")
def create_jobs(call: Writing) -> Response:
    """Store one job for each operation of the request; answered only once they cannot be lost."""
    tenant = call.tenant
    if not call.settings.tenants.auto_open and not call.store.tenants.is_open(tenant):
        raise AsrBucketUnBinded
    regions = tuple(dict.fromkeys((*MQ_REGIONS, *call.settings.tdmq.endpoints)))
    specs = specifications(
        call.fields(), tenant, lambda template: call.store.templates.get(tenant, template), mq_regions=regions
    )
    specs = [_signed_by(call, spec) for spec in specs]
    with call.services.tracer.span("submit", _trace(call), kind="server", request_id=call.request_id) as step:
        traced = [replace(spec, trace=step.traceparent) for spec in specs]
        jobs = call.store.jobs.create(traced, idempotency=_idempotency(call))
        step.set(jobs=[job.id for job in jobs])
    # A job accepted by a paused queue is told as Submitted; only from then on it shows Pause.
    accepted = [replace(job, state=State.SUBMITTED) if job.state is State.PAUSE else job for job in jobs]
    return call.answer({"JobsDetail": [views.job_detail(job) for job in accepted]})


@router.get("/jobs/{ids}", name="get_jobs")
def get_jobs(call: Reading, ids: str) -> Response:
    """Jobs by their ids; unknown ids are told, not refused."""
    wanted = _ids(ids)
    found = call.store.jobs.get(call.tenant, wanted)
    details = [views.job_detail(job) for job in found if job is not None]
    missing = [job_id for job_id, job in zip(wanted, found, strict=True) if job is None]
    tree: views.Tree = {"JobsDetail": details} if details else {}
    return call.answer(tree | ({"NonExistJobIds": missing} if missing else {}))


@router.get("/jobs", name="list_jobs")
def list_jobs(call: Reading) -> Response:
    """One page of jobs by creation time."""
    tenant, query = call.tenant, call.query
    tag = query.get("tag")
    if tag is None:
        raise RequestRefused("tag is missing.")
    which = _filter(call)
    others = query.get("workflowid") or query.get("inventorytriggerjobid")
    queue_type = query.get("queuetype", views.QUEUE_TYPE)
    if tag != TAG or others or (which.queue_id is None and queue_type != views.QUEUE_TYPE):
        details, cursor = [], None
    else:
        found = call.store.jobs.search(tenant, which)
        details, cursor = [views.job_detail(job) for job in found.items], found.cursor
    nothing: str | list[str] = [] if call.json else ""  # Python's SDK turns an empty element into []
    return call.answer({"JobsDetail": details or nothing, "NextToken": cursor or ""})


@router.put("/jobs/{ids}", name="cancel_jobs")
def cancel_jobs(call: Writing, ids: str) -> Response:
    """Cancel jobs, all or none; ``?cancel`` may be missing, as Java sends it."""
    call.store.jobs.cancel(call.tenant, _ids(ids))
    return Response()


def _ids(text: str) -> tuple[str, ...]:
    ids = read.listed({"ids": text}, "ids")
    if not 1 <= len(ids) <= MAX_IDS:
        raise RequestRefused(f"One to {MAX_IDS} job ids are allowed.")
    return ids


def _signed_by(call: Call, spec: JobSpec) -> JobSpec:
    """The specification with its submitter, who must be allowed to use the output's bucket too."""
    if not call.principal.may_use(spec.output.bucket):
        raise Forbidden("This credential may not write to the output bucket.")
    return replace(spec, credential=call.principal.id)


def _trace(call: Call) -> str:
    trace = call.headers.get("traceparent", "")
    return trace if _TRACEPARENT.fullmatch(trace) else ""


def _idempotency(call: Call) -> Idempotency | None:
    key = call.headers.get("idempotency-key")
    if key is None:
        return None
    if not _IDEMPOTENCY_KEY.fullmatch(key):
        raise RequestRefused("Idempotency-Key must be 1 to 255 printable ASCII characters without spaces.")
    return Idempotency(key=key, body_sha256=hashlib.sha256(call.body).hexdigest())


def _filter(call: Call) -> JobFilter:
    query = call.query
    cursor = query.get("nexttoken")
    if cursor is not None and not _CURSOR.fullmatch(cursor):
        raise RequestRefused("nextToken is not one that a list returned.")
    end = read.moment(call.query, "endCreationTime")
    order = read.choice({"orderByTime": query.get("orderbytime")}, "orderByTime", ("Desc", "Asc"))
    return JobFilter(
        states=_states(call),
        queue_id=query.get("queueid"),
        start=read.moment(call.query, "startCreationTime"),
        end=end + 999_999 if end is not None else None,  # the whole of that second
        input_object=query.get("inputobject"),
        order=order or "Desc",
        size=read.integer({"size": query.get("size")}, "size", least=1, most=100) or 10,
        cursor=cursor,
    )


def _states(call: Call) -> frozenset[State] | None:
    names = read.listed(call.query, "states")
    try:
        states = frozenset(State(name) for name in names if name != "All")
    except ValueError:
        raise RequestRefused(f"states must be All or a list of {', '.join(State)}.") from None
    return None if "All" in names or not states else states
