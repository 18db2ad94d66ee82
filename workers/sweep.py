"""The sweeper: finds work that was lost on its way. Running it twice, or two at once, does no harm."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

import redis
import structlog
from celery import Celery

from stemline.jobs.errors import CancelAsked, JobFailed, LeaseLost, TooManyAttempts
from stemline.jobs.job import Job
from stemline.jobs.store import Store
from stemline.runtime.settings import Settings
from stemline.storage import Buckets, Upload
from stemline.wire.errors import code_of
from stemline.workers.app import CALLBACKS, LEVELS, SWEEP, separate_queue
from stemline.workers.cleanup import take_away
from stemline.workers.metrics import WorkerMetrics
from stemline.workers.notifier import CeleryNotifier

log = structlog.get_logger(__name__)

#: Wake-ups and callbacks that one sweep lets lie in a broker queue at most.
_MOST_WAKE_UPS = 200
_MOST_CALLBACKS = 1000

#: How long a sweep waits for a bucket that is away, s.
_BUCKET_PATIENCE_S = 5.0


def add_task(app: Celery, sweeper: Callable[[], Sweeper]) -> None:
    """Add the task to an application.

    Args:
        app: the application.
        sweeper: returns the sweeper; called in the process that runs the task.
    """

    @app.task(name=SWEEP)
    def run() -> str:
        return sweeper().sweep()


class Sweeper:
    """Rescues jobs of dead workers and sends lost messages again."""

    def __init__(
        self, settings: Settings, store: Store, app: Celery, notifier: CeleryNotifier, metrics: WorkerMetrics
    ) -> None:
        self._max_attempts = settings.jobs.max_attempts
        self._store = store
        # The next sweep comes soon, so this one does not wait long.
        self._buckets = Buckets(settings.with_changes(storage_patience_s=_BUCKET_PATIENCE_S))
        self._app = app
        self._notifier = notifier
        self._metrics = metrics

    def sweep(self) -> str:
        """Rescue jobs of dead workers, send lost wake-ups and due callbacks, drop expired records."""
        rescued = 0
        for job_id in self._store.jobs.expired():
            try:
                rescued += self.rescue(job_id)
            except JobFailed as error:
                # Its bucket is away: the job stays seized, and the others are not kept waiting for it.
                log.warning("rescue.put_off", job=job_id, reason=error.message)
                break
        self._store.jobs.promote()
        notified = self.resend_wake_ups()
        due = self.send_due()
        dropped = self._store.jobs.prune()
        self._metrics.last_sweep.set_to_current_time()
        return f"rescued {rescued}, notified {notified}, callbacks {due}, dropped {dropped}"

    def rescue(self, job_id: str) -> bool:
        """Take a job from a dead worker and give it to the next, unless its attempts are used up.

        Raises:
            JobFailed: what the dead worker left in the bucket cannot be taken away now.
        """
        me = f"sweeper@{socket.gethostname()}/{os.getpid()}"
        job = self._store.jobs.reclaim(job_id, me)
        if job is None:
            return False
        with structlog.contextvars.bound_contextvars(job=job.id, attempt=job.attempt, token=job.token):
            try:
                # From here on the old attempt is refused by the store; now by the bucket too.
                take_away(self._buckets, job, [Upload.from_json(dict(u)) for u in job.uploads])
                outcome = self._hand_on(job)
            except LeaseLost:
                return False  # another sweeper took over
            self._metrics.rescues.labels(outcome).inc()
            log.warning("rescue.done", outcome=outcome)
            delivery = self._store.outbox.for_job(job.id)
            if delivery is not None:
                self._notifier.deliver(delivery.id)
            return True

    def _hand_on(self, job: Job) -> str:
        if job.cancel_requested:
            self._store.jobs.confirm_cancel(job)
            return "Cancel"
        if job.attempt >= self._max_attempts:
            why = f"The worker died on each of {job.attempt} attempts."
            self._store.jobs.fail(job, code_of(TooManyAttempts()), why)
            return "Failed"
        try:
            self._store.jobs.release(job, counts=True)
        except CancelAsked:
            self._store.jobs.confirm_cancel(job)
            return "Cancel"
        return "Submitted"

    def resend_wake_ups(self) -> int:
        """Send wake-ups again for jobs that could start and whose wake-ups seem lost; return how many."""
        count = 0
        for level in LEVELS:
            startable = self._store.jobs.startable(level, _MOST_WAKE_UPS)
            lacking = len(startable) - self._waiting_messages(separate_queue(level)) if startable else 0
            if lacking > 0:
                self._notifier.notify_workers(startable[-lacking:])
                count += lacking
        return count

    def send_due(self) -> int:
        """Send callbacks whose time has come; how many."""
        room = _MOST_CALLBACKS - self._waiting_messages(CALLBACKS)
        due = self._store.outbox.due(room) if room > 0 else []
        for delivery in due:
            self._notifier.deliver(delivery)
        return len(due)

    def _waiting_messages(self, queue: str) -> int:
        """How many messages lie in a broker queue; none are assumed while the broker is away."""
        try:
            with self._app.connection_for_read() as connection:
                return int(connection.default_channel.client.llen(queue))
        except (redis.exceptions.RedisError, OSError):
            return 0
