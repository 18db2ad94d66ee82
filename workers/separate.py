"""The task that a wake-up starts: claim the best waiting job and make one attempt at it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import structlog
from celery import Celery, Task
from opentelemetry.trace import Span, SpanKind

from stemline.jobs.job import Job
from stemline.jobs.worker import claimant
from stemline.runtime.telemetry import Tracer, annotate, trace_id
from stemline.workers.app import SEPARATE
from stemline.workers.context import SeparationContext
from stemline.workers.freed_memory import return_freed_memory
from stemline.workers.outcome import AttemptResult

log = structlog.get_logger(__name__)


def add_task(app: Celery, context: Callable[[], SeparationContext]) -> None:
    """Add the task to an application.

    Args:
        app: The application.
        context: Returns what the task works with; called in the process that runs it.
    """

    @app.task(name=SEPARATE, bind=True, send_events=False, shared=False)  # see task_events
    def run(self: Task[Any, Any], *message: object) -> None:
        # The message carries the level; older versions also sent a job id, before the level.
        separate(context(), str(self.request.hostname), wake_up_level=message[-1] if message else None)


def separate(context: SeparationContext, hostname: str, *, wake_up_level: object) -> AttemptResult | None:
    """Claim the best waiting job that the worker serves, of any of its levels, and make one attempt at it.

    Args:
        context: What to work with.
        hostname: Celery's name of the worker.
        wake_up_level: The level in the message, for the log.

    Returns:
        The result of the attempt; ``None`` if no job was waiting, or the worker is shutting down.
    """
    from stemline.workers.attempt import Attempt  # noqa: PLC0415 - brings the engine, which callback workers lack

    if context.shutdown.requested():
        return None
    worker = claimant(hostname, threading.get_native_id())  # a process of the pool, or a thread of it
    job = context.store.attempts.claim(worker, context.settings.workers.levels, context.serves())
    if job is None:
        return None
    with structlog.contextvars.bound_contextvars(
        job=job.id, attempt=job.attempt, token=job.token, worker=worker, trace=trace_id(job.spec.trace)
    ):
        log.info("attempt.started", level=job.spec.level, wake_up_level=wake_up_level)
        started = time.monotonic()
        with context.metrics.running.track_inprogress(), _span(context.tracer, job, worker) as span:
            result = Attempt(job, context).run()
            annotate(span, outcome=result.outcome, code=result.code)
        context.make_room()
        return_freed_memory()
        seconds = time.monotonic() - started
        context.metrics.attempt_ended(result, seconds)
        context.events.job_ended(job, result, seconds)
    delivery = context.store.outbox.for_job(job.id)
    if delivery is not None and delivery.status == "pending":
        context.notifier.deliver(delivery.id)
    return result


def _span(tracer: Tracer, job: Job, worker: str) -> AbstractContextManager[Span]:
    """Return the span of an attempt; before the first attempt, record the span of the wait as well."""
    parent = job.spec.trace
    if job.claims == 1:
        started = job.started or job.created
        tracer.record("wait", parent, job.created, started, job=job.id, level=job.spec.level)
    attributes = {"job": job.id, "attempt": job.attempt, "token": job.token, "worker": worker}
    return tracer.span("attempt", parent, kind=SpanKind.CONSUMER, **attributes)
