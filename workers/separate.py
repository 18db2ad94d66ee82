"""The task that a wake-up starts: claim the best job there is and do it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import structlog
from celery import Celery, Task
from opentelemetry.trace import Span, SpanKind

from stemline.jobs.job import Job
from stemline.runtime.telemetry import Tracer, annotate, trace_id
from stemline.workers.app import SEPARATE
from stemline.workers.context import SeparationContext

log = structlog.get_logger(__name__)


def add_task(app: Celery, context: Callable[[], SeparationContext]) -> None:
    """Add the task to an application.

    Args:
        app: the application.
        context: returns what the task works with; called in the process that runs it.
    """

    @app.task(name=SEPARATE, bind=True)
    def run(self: Task[Any, Any], job_id: str, level: int) -> str:
        return separate(context(), str(self.request.hostname), job_id, level)


def separate(context: SeparationContext, hostname: str, job_id: str, level: int) -> str:
    """Do one job: the best that waits, which need not be the one that the wake-up names.

    Args:
        context: what to work with.
        hostname: Celery's name of the worker.
        job_id: the job whose wake-up this is.
        level: its JobLevel.

    Returns:
        Which job was done and how it ended, shown in Flower.
    """
    from stemline.workers.attempt import Attempt  # noqa: PLC0415 - brings the engine, which callback workers lack

    store, metrics = context.store, context.metrics
    worker = f"{hostname}/{os.getpid()}"
    if context.shutdown.grace_expired(0):
        return "worker stops"
    job = store.jobs.claim(worker, context.settings.workers.levels)
    if job is None:
        return "nothing to do"
    with structlog.contextvars.bound_contextvars(
        job=job.id, attempt=job.attempt, token=job.token, worker=worker, trace=trace_id(job.spec.trace)
    ):
        log.info("attempt.started", level=job.spec.level, wake_up=job_id, wake_up_level=level)
        began = time.monotonic()
        with metrics.running.track_inprogress(), _traced(context.tracer, job, worker) as span:
            ending = Attempt(job, context).run()
            annotate(span, ending=ending)
        metrics.attempt_ended(ending, time.monotonic() - began)
    delivery = store.outbox.for_job(job.id)
    if delivery is not None and delivery.status == "pending":
        context.notifier.deliver(delivery.id)
    return f"{job.id} {ending}"


def _traced(tracer: Tracer, job: Job, worker: str) -> AbstractContextManager[Span]:
    """The span of an attempt; the first one tells the wait before it, too."""
    parent = job.spec.trace
    if job.token == 1:
        started = job.started or job.created
        tracer.record("wait", parent, job.created, started, job=job.id, level=job.spec.level)
    attributes = {"job": job.id, "attempt": job.attempt, "token": job.token, "worker": worker}
    return tracer.span("attempt", parent, kind=SpanKind.CONSUMER, **attributes)
