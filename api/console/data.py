"""The console's own data, beyond the wire: who is signed in, counts, pages of jobs, links to stems."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from stemline.api.admission import ReadContext, WriteContext
from stemline.api.console.queries import BROWSE
from stemline.api.console.views import CALLBACK, CHECKED, JOB, JOBS, OVERVIEW, SESSION, WORKERS
from stemline.api.context import RequestContext
from stemline.api.jobs import tried
from stemline.api.routing import Router
from stemline.jobs.callback import masked_url
from stemline.jobs.errors import NoSuchResource, SourceAccessDenied
from stemline.jobs.history import attempts_of
from stemline.jobs.job import Job
from stemline.jobs.policy import Operation
from stemline.jobs.states import State
from stemline.jobs.store import BucketFilter, JobFilter
from stemline.jobs.worker import worker_of
from stemline.wire.callback import CONTENT_TYPES, batch_body, body

router = Router()

#: Validity of a link to a stem, s.
_LINK_S = 3600
#: How many jobs one request may look at while it searches, and how long; its cursor says where to go on.
_SEARCHED_AT_ONCE = 100
_SEARCHED_PAGES = 40
_SEARCH_S = 0.5
#: Jobs of each state that are read to find out which workers a bucket has.
_SHOWN_JOBS = 200
#: Failed rows that the callback of a batch names.
_MAX_FAILURES = 100


@router.get("/console/session", name="console_session")
def console_session(context: ReadContext) -> Response:
    """Return what the credential may do and see, and where its operator's tools are."""
    settings = context.settings
    which = BucketFilter(allowed=context.policy.allows_tenant, known=context.known_tenants, size=100)
    buckets = context.store.tenants.search(which)
    values = {
        "bucket": context.tenant.bucket,
        "region": context.tenant.region,
        "credential": context.principal.id,
        "operations": [each for each in Operation if context.policy.allows(each)],
        "buckets": buckets.items,
        "flower": settings.monitoring.flower_url,
        "version": version("stemline"),
        "max_bytes": settings.source.max_bytes,
    }
    return context.respond(SESSION, **values)


@router.get("/console/overview", name="console_overview")
def console_overview(context: ReadContext) -> Response:
    """Return the jobs of the bucket by state and by queue."""
    load = context.store.statistics.of_tenant(context.tenant)
    states = [{"state": state, "jobs": jobs} for state, jobs in load.states.items()]
    queues = [
        {"load": queue, "oldest": load.oldest.get(queue.id), "later": load.later[queue.id]}
        for queue in load.queues
    ]
    return context.respond(OVERVIEW, now=context.store.now(), states=states, queues=queues)


@router.route(["POST"], "/console/check", name="console_check", include_in_schema=False)
def console_check(context: WriteContext) -> Response:
    """Refuse what would be refused of a submission, before its upload; store and probe nothing."""
    return context.respond(CHECKED, jobs=len(tried(context)))


@router.get("/console/jobs", name="console_jobs")
async def console_jobs(context: ReadContext, request: Request) -> Response:
    """Return jobs by their place from the newest, or those of some ids, or that match a text or dates."""
    query = BROWSE.read_parameters(context.query)
    if "ids" in query:
        ids = query["ids"].split(",")
        return await context.of_page(request, len(ids), lambda: _named(context, ids))
    if query.get("text") or {"start", "end", "cursor", "queue_id", "batch"} & query.keys():
        return await context.of_many_records(request, lambda: _search(context, query))
    return await context.of_page(request, query["size"], lambda: _browse(context, query))


@router.get("/console/jobs/{job_id}", name="console_job")
def console_job(context: ReadContext, job_id: str) -> Response:
    """Return what the page shows of a job beyond the wire: links to its sound, times in µs, worker, callback.

    Raises:
        NoSuchResource: The bucket has no such job.
    """
    (job,) = context.store.jobs.get(context.tenant, [job_id])
    if job is None:
        raise NoSuchResource("The job does not exist.")
    tenant, key = context.tenant, job.spec.input_object
    # Only of a source that was decoded as sound: who may submit must not read other objects of the bucket.
    played = job.result is not None
    link = (
        _link(context, tenant.bucket, tenant.region, key, _base(key)) if played else {"play": "", "save": ""}
    )
    source = {"key": key, "link": link}
    attempts = attempts_of(job, context.store.jobs.history(job.id))
    callback = job.spec.callback
    is_own = job.spec.credential == context.principal.id
    if callback.url and not is_own and not context.policy.allows(Operation.CALLBACKS):
        callback = replace(callback, url=masked_url(callback.url))
    stems = _stems(context, job)
    return context.respond(
        JOB, job=job, source=source, stems=stems, attempts=attempts, callback=callback, link_s=_LINK_S
    )


@router.get("/console/workers", name="console_workers")
async def console_workers(context: ReadContext, request: Request) -> Response:
    """Return workers and whether they live; who may not manage the bucket sees those of its jobs alone."""
    return await context.of_page(request, 2 * _SHOWN_JOBS, lambda: _workers(context))


def _workers(context: RequestContext) -> Response:
    store, now = context.store, context.store.now()
    found = store.workers.latest()
    if not context.policy.allows(Operation.BUCKETS):
        states = (State.RUNNING, State.SUCCESS)
        jobs = [store.jobs.browse(context.tenant, state, offset=0, size=_SHOWN_JOBS) for state in states]
        own = {worker_of(job.worker) for listing in jobs for job in listing.items}
        found = [worker for worker in found if worker.name in own]
    rows = [{"worker": each, "alive": str(each.is_alive(now)).lower()} for each in found]
    return context.respond(WORKERS, now=now, workers=rows)


@router.get("/console/callbacks/{callback_id}", name="console_callback")
async def console_callback(context: ReadContext, request: Request, callback_id: str) -> Response:
    """Return what an attempt of a callback sends, as long as its job or batch is known.

    Raises:
        NoSuchResource: The bucket has no such callback, or its job is not kept any more.
    """
    return await context.of_page(request, _MAX_FAILURES, lambda: _callback(context, callback_id))


def _callback(context: RequestContext, callback_id: str) -> Response:
    store, tenant = context.store, context.tenant
    delivery = store.outbox.get(callback_id)
    if delivery is None or delivery.tenant != tenant:
        raise NoSuchResource("The callback does not exist.")
    form, announced = delivery.target.format, b""
    if batch := store.batches.get(tenant, delivery.job_id):
        failed = JobFilter(batch=batch.id, states=frozenset({State.FAILED}), unretried=True, order="Asc")
        failures = store.jobs.search(tenant, replace(failed, size=_MAX_FAILURES)).items
        announced = batch_body(batch, failures, form)
    elif job := store.jobs.find(delivery.job_id):
        announced = body(job, form)
    else:
        raise NoSuchResource("What the callback announces is not kept any more.")
    return context.respond(CALLBACK, type=CONTENT_TYPES[form], body=announced.decode())


def _named(context: RequestContext, ids: list[str]) -> Response:
    jobs = [job for job in context.store.jobs.get(context.tenant, ids) if job is not None]
    return context.respond(JOBS, items=jobs, total=None, cursor=None)


def _browse(context: RequestContext, query: dict[str, Any]) -> Response:
    jobs = context.store.jobs
    found = jobs.browse(context.tenant, query.get("state"), offset=query["offset"], size=query["size"])
    return context.respond(JOBS, items=found.items, total=found.total, cursor=None)


def _search(context: RequestContext, query: dict[str, Any]) -> Response:
    """Answer with the jobs that match; ``cursor`` says where a further request goes on."""
    text, size = query.get("text", ""), query["size"]
    states = frozenset({state}) if (state := query.get("state")) else None
    which = JobFilter(
        states=states,
        queue_id=query.get("queue_id"),
        batch=query.get("batch", ""),
        start=query.get("start"),
        end=query.get("end"),
        size=_SEARCHED_AT_ONCE,
        cursor=query.get("cursor"),
        is_brief=True,
    )
    end, found, cursor = time.monotonic() + _SEARCH_S, list[str](), which.cursor
    for _ in range(_SEARCHED_PAGES):
        page = context.store.jobs.search(context.tenant, replace(which, cursor=cursor))
        cursor = page.cursor
        for job in page.items:
            if _contains(job, text):
                found.append(job.id)
                if len(found) == size:
                    cursor = str(job.created)
                    break
        if cursor is None or len(found) == size or time.monotonic() > end:
            break
    jobs = [job for job in context.store.jobs.get(context.tenant, found) if job is not None]
    return context.respond(JOBS, items=jobs, total=None, cursor=cursor)


def _contains(job: Job, text: str) -> bool:
    """Return whether a job's id, key or user data contains a text, in any case."""
    wanted = text.casefold()
    texts = (job.id, job.spec.input_object, job.spec.user_data or "")
    return not wanted or any(wanted in each.casefold() for each in texts)


def _link(context: RequestContext, bucket: str, region: str, key: str, name: str) -> dict[str, str]:
    """Return links that play an object and that save it under a name; empty ones where it cannot be read."""
    presign: Callable[..., str] = context.services.buckets.presign_get
    try:
        return {
            "play": presign(region, bucket, key, expires_s=_LINK_S),
            "save": presign(region, bucket, key, expires_s=_LINK_S, download=name),
        }
    except SourceAccessDenied:
        return {"play": "", "save": ""}


def _stems(context: RequestContext, job: Job) -> list[dict[str, Any]]:
    """Return the stems of a job with links, where the credential may use their bucket."""
    output = job.spec.output
    if job.result is None:
        return []
    allowed = context.policy.allows_bucket(output.bucket, output.region)
    none = {"play": "", "save": ""}
    source, bucket, region = job.spec.input_object, output.bucket, output.region
    return [
        {
            "file": file,
            "link": _link(context, bucket, region, file.key, name_of_stem(file.key, source))
            if allowed
            else none,
        }
        for file in job.result.files
    ]


def _base(key: str) -> str:
    """Return the last part of a key."""
    return key.rpartition("/")[2]


def name_of_stem(key: str, source: str) -> str:
    """Return under which name a stem is saved: the song's comes first, unless the key has it already."""
    song, name = re.sub(r"\.\w{1,5}$", "", _base(source)), _base(key)
    return name if not song or song in name else f"{song} - {name}"
