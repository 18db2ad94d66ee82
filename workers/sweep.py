"""The sweeper: finds work that was lost on its way. Running it twice, or two at once, does no harm."""

from __future__ import annotations

import os
import socket
from functools import cache

import redis
import structlog

from stemline.jobs.errors import CancelAsked, JobFailed, LeaseLost, TooManyAttempts
from stemline.jobs.job import Job
from stemline.storage import Buckets, Upload
from stemline.wire.errors import code_of
from stemline.workers import context, metrics
from stemline.workers.app import CALLBACKS, LEVELS, SWEEP, announce, app, notify_workers, separate_queue
from stemline.workers.cleanup import take_away

log = structlog.get_logger(__name__)

#: Wake-ups and callbacks that one sweep lets lie in a broker queue at most.
_MOST_WAKE_UPS = 200
_MOST_CALLBACKS = 1000

#: How long a sweep waits for a bucket that is away, s.
_BUCKET_PATIENCE_S = 5.0


@app.task(name=SWEEP)
def sweep() -> str:
    """Rescue jobs of dead workers, send lost wake-ups and due callbacks, drop expired records."""
    store = context.store()
    rescued = 0
    for job_id in store.jobs.expired():
        try:
            rescued += rescue(job_id)
        except JobFailed as error:
            # Its bucket is away: the job stays seized, and the others are not kept waiting for it.
            log.warning("rescue.put_off", job=job_id, reason=error.message)
            break
    store.jobs.promote()
    notified = resend_wake_ups()
    due = send_due()
    dropped = store.jobs.prune()
    metrics.LAST_SWEEP.set_to_current_time()
    return f"rescued {rescued}, notified {notified}, callbacks {due}, dropped {dropped}"


def rescue(job_id: str) -> bool:
    """Take a job from a dead worker and give it to the next, unless its attempts are used up.

    Raises:
        JobFailed: what the dead worker left in the bucket cannot be taken away now.
    """
    store, settings = context.store(), context.settings()
    me = f"sweeper@{socket.gethostname()}/{os.getpid()}"
    job = store.jobs.reclaim(job_id, me)
    if job is None:
        return False
    with structlog.contextvars.bound_contextvars(job=job.id, attempt=job.attempt, token=job.token):
        try:
            # From here on the old attempt is refused by the store; now by the bucket too.
            take_away(_buckets(), job, [Upload.from_json(dict(u)) for u in job.uploads])
            outcome = _hand_on(job, settings.jobs.max_attempts)
        except LeaseLost:
            return False  # another sweeper took over
        metrics.RESCUES.labels(outcome).inc()
        log.warning("rescue.done", outcome=outcome)
        delivery = store.outbox.for_job(job.id)
        if delivery is not None:
            announce(delivery.id)
        return True


@cache
def _buckets() -> Buckets:
    """The buckets, without much patience: there is a next sweep."""
    return Buckets(context.settings().with_changes(storage_patience_s=_BUCKET_PATIENCE_S))


def _hand_on(job: Job, max_attempts: int) -> str:
    store = context.store()
    if job.cancel_requested:
        store.jobs.confirm_cancel(job)
        return "Cancel"
    if job.attempt >= max_attempts:
        why = f"The worker died on each of {job.attempt} attempts."
        store.jobs.fail(job, code_of(TooManyAttempts()), why)
        return "Failed"
    try:
        store.jobs.release(job, counts=True)
    except CancelAsked:
        store.jobs.confirm_cancel(job)
        return "Cancel"
    return "Submitted"


def resend_wake_ups() -> int:
    """Send wake-ups again for jobs that could start and whose wake-ups seem lost; return how many."""
    store = context.store()
    count = 0
    for level in LEVELS:
        startable = store.jobs.startable(level, _MOST_WAKE_UPS)
        lacking = len(startable) - _waiting_messages(separate_queue(level)) if startable else 0
        if lacking > 0:
            notify_workers(startable[-lacking:])
            count += lacking
    return count


def send_due() -> int:
    """Send callbacks whose time has come; how many."""
    store = context.store()
    room = _MOST_CALLBACKS - _waiting_messages(CALLBACKS)
    due = store.outbox.due(room) if room > 0 else []
    for delivery in due:
        announce(delivery)
    return len(due)


def _waiting_messages(queue: str) -> int:
    """How many messages lie in a broker queue; none are assumed while the broker is away."""
    try:
        with app.connection_for_read() as connection:
            return int(connection.default_channel.client.llen(queue))
    except (redis.exceptions.RedisError, OSError):
        return 0
