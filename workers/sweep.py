"""The sweep: reclaim jobs of dead workers, and send lost messages again.

Safe to run twice, and in several processes at once.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from typing import Final

import redis
import structlog
from celery import Celery

from stemline.jobs.errors import (
    CancelAsked,
    JobFailed,
    LeaseLost,
    RecordTooNew,
    StemlineError,
    TargetUnavailable,
    TooManyAttempts,
)
from stemline.jobs.job import Job
from stemline.jobs.store import Store
from stemline.runtime.settings import Settings
from stemline.storage import Buckets, Upload
from stemline.wire.errors import code_of
from stemline.workers.app import CALLBACKS, LEVELS, SWEEP, separate_queue
from stemline.workers.cleanup import cleanup
from stemline.workers.metrics import WorkerMetrics
from stemline.workers.notifier import CeleryNotifier
from stemline.workers.outcome import AttemptResult, Outcome
from stemline.workers.task_events import TaskEvents

log = structlog.get_logger(__name__)

MAX_WAKE_UPS: Final = 200
"""Wake-ups of one level to keep in the broker at most."""
MAX_DELIVERIES: Final = 1000
"""Deliveries to keep in the broker at most."""
RETRY_BUDGET_S: Final = 5.0
"""How long a sweep retries requests to a bucket; the next sweep comes soon, s."""
RECLAIM_BUDGET_S: Final = 30.0
"""How long a sweep reclaims jobs; what is left waits for the next one, s."""
PRUNE_BUDGET_S: Final = 2.0
"""How long a sweep deletes old records, s. It deletes some thousand per second."""
PRUNE_BATCH: Final = 200
"""Records that one call of the store deletes, so that none keeps it busy for long."""


def add_task(app: Celery, sweeper: Callable[[], Sweeper]) -> None:
    """Add the task to an application.

    Args:
        app: The application.
        sweeper: Returns the sweeper; called in the process that runs the task.
    """

    @app.task(name=SWEEP, send_events=False, shared=False)  # Flower shows jobs and deliveries
    def run() -> None:
        sweeper().sweep()


class Sweeper:
    """Makes sweeps; one for each process."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        buckets: Buckets,
        *,
        app: Celery,
        notifier: CeleryNotifier,
        metrics: WorkerMetrics,
        events: TaskEvents,
    ) -> None:
        self._max_attempts = settings.jobs.max_attempts
        self._store = store
        self._buckets = buckets
        self._app = app
        self._notifier = notifier
        self._metrics = metrics
        self._events = events
        self._name = f"sweeper@{socket.gethostname()}/{os.getpid()}"

    def sweep(self) -> None:
        """Make one sweep."""
        # What waits for a bucket comes last.
        self._store.jobs.promote()
        self.resend_wake_ups()
        self.resend_deliveries()
        self.prune()
        self.reclaim_expired()
        self._metrics.last_sweep.set_to_current_time()

    def prune(self) -> None:
        """Delete what is past its retention, for as long as the budget allows."""
        end = time.monotonic() + PRUNE_BUDGET_S
        while self._store.jobs.prune(PRUNE_BATCH) >= PRUNE_BATCH and time.monotonic() < end:
            pass

    def reclaim_expired(self) -> None:
        """Reclaim the jobs whose lease has expired, for as long as the budget allows.

        A job whose bucket is unavailable stays with the sweeper until its new lease expires, and so do the
        others of that bucket, which is not asked again in this sweep.
        """
        end = time.monotonic() + RECLAIM_BUDGET_S
        unavailable: set[tuple[str, str]] = set()
        done: set[str] = set()
        while left := [each for each in self._store.jobs.expired(100 + len(done)) if each not in done]:
            for job_id in left:
                if time.monotonic() > end:
                    log.warning("reclaim.out_of_time", buckets=len(unavailable))
                    return
                done.add(job_id)
                try:
                    self.reclaim(job_id, unavailable)
                except (JobFailed, RecordTooNew) as error:
                    log.warning("reclaim.postponed", job=job_id, reason=error.message)
                except StemlineError:
                    raise  # of the store, so of every job
                except Exception:
                    # One damaged record must not keep the others from being reclaimed.
                    log.exception("reclaim.failed", job=job_id)

    def reclaim(self, job_id: str, unavailable: set[tuple[str, str]]) -> bool:
        """Reclaim a job from a dead worker: clean up, then requeue it, or end it after its last attempt.

        Args:
            job_id: The job.
            unavailable: Region and name of buckets that are not asked; a bucket that fails is added.

        Returns:
            Whether this call reclaimed it; ``False`` if its worker or another sweeper was faster.

        Raises:
            JobFailed: The bucket refused the cleanup, or was unavailable.
            RecordTooNew: Its record was written by a newer release.
        """
        job = self._store.jobs.reclaim(job_id, self._name)
        if job is None:
            return False
        uploads = [Upload.from_json(dict(each)) for each in job.uploads]
        buckets = {(upload.region, upload.bucket) for upload in uploads}
        if buckets & unavailable:
            raise TargetUnavailable
        with structlog.contextvars.bound_contextvars(job=job.id, attempt=job.attempt, token=job.token):
            try:
                # The store refuses the old attempt from here on; the cleanup makes the bucket refuse it too.
                cleanup(self._buckets, job, uploads)
                result = self._requeue_or_end(job)
            except LeaseLost:
                return False
            except JobFailed:
                unavailable |= buckets
                raise
            self._metrics.reclaims.labels(result.outcome).inc()
            self._events.job_ended(job, result, 0.0)
            log.warning("job.reclaimed", outcome=result.outcome)
            delivery = self._store.outbox.for_job(job.id)
            if delivery is not None:
                self._notifier.deliver(delivery.id)
            return True

    def _requeue_or_end(self, job: Job) -> AttemptResult:
        """Release a reclaimed job for its next attempt, unless it is cancelled or had its last one."""
        if not job.cancel_requested:
            if job.attempt >= self._max_attempts:
                code = code_of(TooManyAttempts())
                message = f"The worker died on each of {job.attempt} attempts."
                self._store.jobs.fail(job, code, message)
                return AttemptResult(Outcome.FAILED, code, message)
            try:
                self._store.jobs.release(job, counts=True)
            except CancelAsked:
                pass
            else:
                return AttemptResult(Outcome.RELEASED, message="The worker died.")
        self._store.jobs.confirm_cancel(job)
        return AttemptResult(Outcome.CANCELLED)

    def resend_wake_ups(self) -> None:
        """Send a wake-up for each job that could start, beyond those that wait in the broker."""
        for level in LEVELS:
            startable = self._store.jobs.startable(level, MAX_WAKE_UPS)
            missing = len(startable) - self._waiting_messages(separate_queue(level)) if startable else 0
            if missing > 0:
                self._notifier.notify_workers(startable[-missing:])

    def resend_deliveries(self) -> None:
        """Send a message for each delivery that is due, up to a limit."""
        limit = MAX_DELIVERIES - self._waiting_messages(CALLBACKS)
        for delivery_id in self._store.outbox.due(limit) if limit > 0 else []:
            self._notifier.deliver(delivery_id)

    def _waiting_messages(self, queue: str) -> int:
        """Return the number of messages in a broker queue; 0 while the broker is unavailable."""
        try:
            with self._app.connection_for_read() as connection:
                return int(connection.default_channel.client.llen(queue))
        except (redis.exceptions.RedisError, OSError):
            return 0
