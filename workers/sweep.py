"""The sweep: reclaim jobs of dead workers, and send lost messages again.

Safe to run twice, and in several processes at once.
"""

from __future__ import annotations

import itertools
import os
import socket
import time
from collections.abc import Callable, Sequence
from typing import Final

import redis
import structlog
from celery import Celery

from stemline.jobs.errors import (
    CancelAsked,
    LeaseLost,
    RecordTooNew,
    StemlineError,
    TooManyAttempts,
)
from stemline.jobs.job import Job
from stemline.jobs.leftover import Leftover
from stemline.jobs.states import State
from stemline.jobs.store import Store
from stemline.jobs.store.values import Uploads
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
LEFTOVERS_BUDGET_S: Final = 10.0
"""How long a sweep removes what attempts could not; what is left waits for the next one, s."""
LEFTOVERS_KEPT_S: Final = 7 * 86_400
"""After this time the sweeper gives up what a bucket does not delete, s."""
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
        """Make one sweep; records of a newer release stop no other step."""
        # What waits for a bucket comes last.
        steps = (self._store.jobs.promote, self.resend_wake_ups, self.resend_deliveries, self.prune)
        for step in (*steps, self.reclaim_expired, self.remove_leftovers):
            try:
                step()
            except RecordTooNew as error:
                log.warning("sweep.postponed", step=step.__name__, reason=error.message)
        self._metrics.last_sweep.set_to_current_time()

    def prune(self) -> None:
        """Delete what is past its retention, for as long as the budget allows."""
        end = time.monotonic() + PRUNE_BUDGET_S
        while self._store.jobs.prune(PRUNE_BATCH) >= PRUNE_BATCH and time.monotonic() < end:
            pass

    def reclaim_expired(self) -> None:
        """Reclaim the jobs whose lease has expired, for as long as the budget allows.

        A bucket that is unavailable is asked once; what dead attempts left there stays for later sweeps.
        """
        end = time.monotonic() + RECLAIM_BUDGET_S
        unavailable: set[tuple[str, str]] = set()
        done: set[str] = set()
        while left := [each for each in self._store.attempts.expired(100 + len(done)) if each not in done]:
            for job_id in left:
                if time.monotonic() > end:
                    log.warning("reclaim.out_of_time", buckets=len(unavailable))
                    return
                done.add(job_id)
                try:
                    self.reclaim(job_id, unavailable)
                except RecordTooNew as error:
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
            RecordTooNew: Its record was written by a newer release.
        """
        job = self._store.attempts.reclaim(job_id, self._name)
        if job is None:
            return False
        uploads = [Upload.from_json(dict(each)) for each in job.uploads]
        with structlog.contextvars.bound_contextvars(job=job.id, attempt=job.attempt, token=job.token):
            try:
                # The store refuses the old attempt from here on; the cleanup makes the bucket refuse it too.
                left = self._clean_up(uploads, job.id, job.token, unavailable)
                result = self._requeue_or_end(job, [each.to_json() for each in left])
            except LeaseLost:
                return False
            self._metrics.reclaims.labels(result.outcome).inc()
            self._events.job_ended(job, result, 0.0)
            log.warning("job.reclaimed", outcome=result.outcome)
            delivery = self._store.outbox.for_job(job.id)
            if delivery is not None:
                self._notifier.deliver(delivery.id)
            return True

    def _clean_up(
        self, uploads: Sequence[Upload], job_id: str, token: int, unavailable: set[tuple[str, str]]
    ) -> list[Upload]:
        """Remove what an attempt left; return what may be left in buckets that are, or were, unavailable."""
        asked = [each for each in uploads if (each.region, each.bucket) not in unavailable]
        left = cleanup(self._buckets, asked, job_id=job_id, token=token)
        unavailable |= {(each.region, each.bucket) for each in left}
        return [*left, *(each for each in uploads if each not in asked)]

    def remove_leftovers(self) -> None:
        """Try again to remove what attempts could not, as long as the budget allows; for a week at most."""
        end, unavailable = time.monotonic() + LEFTOVERS_BUDGET_S, set[tuple[str, str]]()
        while time.monotonic() < end and (found := self._store.leftovers.reserve()) is not None:
            try:
                self._remove(found, unavailable)
            except StemlineError:
                raise  # of the store, so of every leftover
            except Exception:  # one damaged record must not keep the others
                log.exception("leftovers.failed", job=found.job_id)

    def _remove(self, found: Leftover, unavailable: set[tuple[str, str]]) -> None:
        job = self._store.jobs.find(found.job_id)
        if job is not None and job.state is State.RUNNING:
            return  # a newer attempt may be publishing under the same key
        uploads = [Upload.from_json(dict(each)) for each in found.uploads]
        with structlog.contextvars.bound_contextvars(job=found.job_id):
            left = self._clean_up(uploads, found.job_id, found.token, unavailable)
        values = {"job": found.job_id, "objects": [f"{each.bucket}/{each.key}" for each in left or uploads]}
        if not left:
            self._store.leftovers.drop(found.id, removed=True)
            log.info("leftovers.removed", **values)
        elif self._store.now() - found.since > LEFTOVERS_KEPT_S * 1e6:
            self._store.leftovers.drop(found.id, removed=False)
            log.error("leftovers.given_up", **values)
        else:
            log.warning("leftovers.kept", tries=found.tries, **values)

    def _requeue_or_end(self, job: Job, leftovers: Uploads) -> AttemptResult:
        """Release a reclaimed job for its next attempt, unless it is cancelled or had its last one."""
        if not job.cancel_requested:
            if job.attempt >= self._max_attempts:
                code = code_of(TooManyAttempts())
                message = f"The worker died on each of {job.attempt} attempts."
                self._store.attempts.fail(job, code, message, leftovers=leftovers)
                return AttemptResult(Outcome.FAILED, code, message)
            try:
                self._store.attempts.release(job, counts=True, leftovers=leftovers)
            except CancelAsked:
                pass
            else:
                return AttemptResult(Outcome.RELEASED, message="The worker died.")
        self._store.attempts.confirm_cancel(job, leftovers=leftovers)
        return AttemptResult(Outcome.CANCELLED)

    def resend_wake_ups(self) -> None:
        """Send a wake-up for each job that could start, beyond those that wait in the broker."""
        served = [demand.wants for demand in self._store.jobs.demands() if demand.served]
        for level, wants in itertools.product(LEVELS, ["", *served]):
            startable = self._store.jobs.startable(level, MAX_WAKE_UPS, wants)
            if not startable:
                continue  # without asking the broker
            missing = len(startable) - self._waiting_messages(separate_queue(level, wants))
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
