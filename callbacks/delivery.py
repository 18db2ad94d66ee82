"""One delivery's turn: taken from the outbox, sent, and what came of it written down."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

import structlog

from stemline.callbacks.guard import Guard
from stemline.callbacks.host_limiter import Lanes, Place
from stemline.callbacks.host_status import Health, Standing
from stemline.callbacks.http import BadUrl, parse_url
from stemline.callbacks.mq import MqSender
from stemline.callbacks.outcome import Outcome, failed
from stemline.callbacks.schedule import Schedule
from stemline.callbacks.secrets import WebhookSecrets
from stemline.callbacks.url import Sender
from stemline.callbacks.webhook_signature import signed_headers
from stemline.jobs.delivery import Delivery, DeliveryAttempt
from stemline.jobs.job import Job
from stemline.jobs.store import Store
from stemline.runtime import tracing
from stemline.runtime.settings import Settings
from stemline.wire.callback import CONTENT_TYPES, body

log = structlog.get_logger()

LEASE_TIMEOUTS: Final = 6
"""How long a delivery that was taken is left alone, in time-outs; then its worker counts as dead."""
GO_ON_S: Final = 60.0
"""How long one turn goes on with deliveries that waited, so that a worker that is told to stop can."""
CROWDED_S: Final = {Standing.UNKNOWN: 2.0, Standing.HANGS: 15.0}
"""When a delivery comes again if no thread could be spared for its host."""

Observer = Callable[[str, str, str, float], None]
"""Told of each try: way (``url`` or ``tdmq``), status, what the delivery is now, and seconds it took."""


def deliver(store: Store, settings: Settings, delivery_id: str, observe: Observer | None = None) -> None:
    """Try to deliver a callback, if it is due; safe to call twice, and with ids that are long done.

    Args:
        store: where the outbox is.
        settings: one instance per process; what is made from it is kept.
        delivery_id: which callback.
        observe: told of each try; the first one given to a process stays.

    Raises:
        StoreUnavailable: nothing is lost, the callback comes again by its lease.
    """
    courier_of(store, settings, observe).deliver(delivery_id)


def courier_of(store: Store, settings: Settings, observe: Observer | None = None) -> Courier:
    """The process's courier; a new one only for another store."""
    global _courier  # noqa: PLW0603 - what it has learned about hosts belongs to the process
    with _lock:
        if _courier is None or not _courier.serves(store):
            _courier = Courier(store, settings, observe)
        return _courier


class Courier:
    """Delivers callbacks for one process, from as many threads as it has."""

    def __init__(self, store: Store, settings: Settings, observe: Observer | None = None) -> None:
        self._observe = observe
        self._store = store
        self._schedule = Schedule(settings.callbacks.schedule_s, settings.callbacks.jitter)
        self._secrets = WebhookSecrets(settings)
        self._health = Health(settings.callbacks.concurrency)
        self._lease_s = LEASE_TIMEOUTS * settings.callbacks.timeout_s
        self._per_host = settings.callbacks.per_host
        self._lanes = Lanes(store.client, settings.store.key_prefix, kept_s=self._lease_s)
        self._tracer = tracing.tracer(settings, "stemline-callbacks")
        self._mq = MqSender(settings)
        options = settings.callbacks
        self._sender = Sender(Guard.of(options.allow_networks), options.timeout_s, options.proxy)

    def serves(self, store: Store) -> bool:
        """Whether it delivers from this very store."""
        return self._store is store

    def deliver(self, delivery_id: str) -> None:
        """See :func:`deliver`; goes on with deliveries that waited for the same host."""
        delivery = self._store.outbox.reserve(delivery_id, self._lease_s)
        if delivery is None:
            return
        host = self._lane(delivery)
        if self._lanes.enter(host, delivery.id, self._places(host)) is not Place.TAKEN:
            return
        current: str | None = delivery.id
        until = time.monotonic() + GO_ON_S
        while current:
            try:
                self._turn(host, current)
            finally:
                places = 0 if time.monotonic() > until else self._places(host)
                current = self._lanes.leave(host, current, places)

    def _lane(self, delivery: Delivery) -> str:
        """Which deliveries share the limit of one host: those of one host and port, or of one broker."""
        if delivery.target.mq is not None:
            return self._mq.lane(delivery.target.mq)
        try:
            return parse_url(delivery.target.url).authority
        except BadUrl:
            return "nowhere"

    def _places(self, host: str) -> int:
        """A host that hangs is tried by one delivery at a time."""
        return 1 if self._health.of(host) is Standing.HANGS else self._per_host

    def _turn(self, host: str, delivery_id: str) -> None:
        """One try of a delivery that has a place in its lane."""
        # It may have waited, and may have been sent by another worker after its lease.
        delivery = self._store.outbox.get(delivery_id)
        if delivery is None or delivery.status != "pending":
            return
        first_wait = 0 if delivery.attempts else round(self._schedule.waits_s[0] * 1e6)
        if first_wait and delivery.created + first_wait > self._store.now():
            due = delivery.created + first_wait
            self._store.outbox.record(delivery.id, None, next_due=due, status="pending")
            return
        job = self._store.jobs.find(delivery.job_id)
        with self._health.thread_for(host) as spared:
            if not spared:
                due = self._store.now() + round(CROWDED_S.get(self._health.of(host), 0.0) * 1e6)
                self._store.outbox.record(delivery.id, None, next_due=due, status="pending")
                return
            began, clock = self._store.now(), time.monotonic()
            outcome = self._send(delivery, job, began / 1e6)
            took_s = time.monotonic() - clock
        self._health.note(host, outcome, took_s)
        trace = "" if job is None else tracing.trace_id(job.spec.trace)
        with structlog.contextvars.bound_contextvars(trace=trace):
            self._record(delivery, outcome, began, round(took_s * 1000))

    def _send(self, delivery: Delivery, job: Job | None, now_s: float) -> Outcome:
        """Send it within the job's trace."""
        trace = "" if job is None else job.spec.trace
        told = {"job": delivery.job_id, "delivery": delivery.id, "host": delivery.target.host}
        with self._tracer.span("deliver", trace, kind="client", **told) as step:
            outcome = self._try(delivery, job, now_s, step.traceparent)
            step.set(status=outcome.status, delivered=outcome.delivered)
            return outcome

    def _try(self, delivery: Delivery, job: Job | None, now_s: float, traceparent: str) -> Outcome:
        """Send it; whatever goes wrong is an outcome, so that no fault of ours repeats it for ever."""
        if job is None:
            return failed("gone", "the job's record is past its retention", final=True)
        try:
            if delivery.target.mq is not None:
                said, form = body(job, delivery.target.format), CONTENT_TYPES[delivery.target.format]
                return self._mq.send(delivery.target.mq, said, form, delivery.id, now_s)
            return self._send_to_url(delivery, job, now_s, traceparent)
        except Exception as error:
            log.exception("callback.fault", delivery=delivery.id)
            return failed("error", f"{type(error).__name__}: {error}")

    def _send_to_url(self, delivery: Delivery, job: Job, now_s: float, traceparent: str) -> Outcome:
        form = delivery.target.format
        said = body(job, form)
        try:
            headers = signed_headers(delivery.id, int(now_s), said, self._secrets.of(job.spec))
        except (OSError, ValueError) as error:
            # Better late than unsigned.
            return failed("unsigned", f"the webhook secrets cannot be used: {type(error).__name__}")
        if traceparent:
            headers = {**headers, "traceparent": traceparent}
        return self._sender.send(delivery.target.url, said, CONTENT_TYPES[form], headers, now_s)

    def _record(self, delivery: Delivery, outcome: Outcome, began: int, duration_ms: int) -> None:
        attempt = DeliveryAttempt(began, outcome.status, duration_ms, outcome.answer)
        tries = len(delivery.attempts) - delivery.replayed_after + 1
        wait = None if outcome.final else self._schedule.next_wait_s(tries, outcome.retry_after_s)
        status, next_due = "delivered", None
        if not outcome.delivered:
            status = "dead" if wait is None else "pending"
            next_due = None if wait is None else self._store.now() + round(wait * 1e6)
        self._store.outbox.record(delivery.id, attempt, next_due=next_due, status=status)
        if self._observe is not None:
            way = "url" if delivery.target.mq is None else "tdmq"
            self._observe(way, outcome.status, status, duration_ms / 1000)
        say = log.info if outcome.delivered else log.warning
        say(
            "callback.tried",
            delivery=delivery.id,
            job=delivery.job_id,
            host=delivery.target.host,
            attempt=len(delivery.attempts) + 1,
            status=outcome.status,
            duration_ms=duration_ms,
            outcome=status,
            next_wait_s=None if next_due is None else round(wait or 0, 1),
        )


_courier: Courier | None = None
_lock = threading.Lock()
