"""The task that a wake-up starts: claim the best job there is and do it."""

from __future__ import annotations

import os
import time
from contextlib import AbstractContextManager
from typing import Any

import structlog
from celery import Task

from stemline.jobs.job import Job
from stemline.runtime.tracing import Step, trace_id
from stemline.workers import (
    context,
    metrics,
    process_init,  # noqa: F401 - listens for new children of the pool
    shutdown,
)
from stemline.workers.app import SEPARATE, announce, app

log = structlog.get_logger(__name__)


@app.task(name=SEPARATE, bind=True)
def separate(self: Task[Any, Any], job_id: str, level: int) -> str:
    """Do one job: the best that waits, which need not be the one that the wake-up names.

    Args:
        self: the task, for the name of its worker.
        job_id: the job whose wake-up this is.
        level: its JobLevel.

    Returns:
        Which job was done and how it ended, to be read in Flower.
    """
    from stemline.workers.attempt import Attempt  # noqa: PLC0415 - brings the engine, which callback workers lack

    store, settings = context.store(), context.settings()
    worker = f"{self.request.hostname}/{os.getpid()}"
    if shutdown.due(0):
        return "worker stops"
    job = store.jobs.claim(worker, settings.workers.levels)
    if job is None:
        return "nothing to do"
    with structlog.contextvars.bound_contextvars(
        job=job.id, attempt=job.attempt, token=job.token, worker=worker, trace=trace_id(job.spec.trace)
    ):
        log.info("attempt.started", level=job.spec.level, wake_up=job_id, wake_up_level=level)
        began = time.monotonic()
        with metrics.RUNNING.track_inprogress(), _traced(job, worker) as step:
            ending = Attempt(job, store, context.buckets(), settings, step).run()
            step.set(ending=ending)
        metrics.attempt_ended(ending, time.monotonic() - began)
    delivery = store.outbox.for_job(job.id)
    if delivery is not None and delivery.status == "pending":
        announce(delivery.id)
    return f"{job.id} {ending}"


def _traced(job: Job, worker: str) -> AbstractContextManager[Step]:
    """The span of an attempt; the first one tells the wait before it, too."""
    tracer, parent = context.tracer(), job.spec.trace
    if job.token == 1:
        tracer.past("wait", parent, job.created, job.started or job.created, job=job.id, level=job.spec.level)
    return tracer.span(
        "attempt", parent, kind="consumer", job=job.id, attempt=job.attempt, token=job.token, worker=worker
    )
