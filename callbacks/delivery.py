"""The delivery service: reserve a callback in the outbox, send it, record the outcome."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Final, Protocol

import structlog
from opentelemetry.trace import SpanKind

from stemline.callbacks.address_guard import AddressGuard
from stemline.callbacks.bucket_shares import BucketShares
from stemline.callbacks.host_status import HostHealth, HostStatus
from stemline.callbacks.http import BadUrl, parse_url
from stemline.callbacks.mq_sender import MqSender
from stemline.callbacks.outcome import Outcome, failed
from stemline.callbacks.schedule import Schedule
from stemline.callbacks.url_sender import UrlSender
from stemline.callbacks.webhook_secrets import WebhookSecrets
from stemline.callbacks.webhook_signature import signed_headers
from stemline.jobs.callback import MqConfig
from stemline.jobs.delivery import Delivery, DeliveryAttempt
from stemline.jobs.job import Job, JobSpec
from stemline.jobs.reasons import reason_of
from stemline.jobs.states import State
from stemline.jobs.store import JobFilter, Slot, Store
from stemline.runtime import telemetry
from stemline.runtime.credentials import CredentialFile, CredentialFiles
from stemline.runtime.settings import Credential, Settings
from stemline.wire.callback import CONTENT_TYPES, batch_body, body

log = structlog.get_logger()

RESERVATION_TIMEOUTS: Final = 6
"""Length of a reservation, in delivery timeouts; after that its worker counts as dead."""
MAX_CHAIN_S: Final = 60.0
"""How long one call continues with waiting deliveries of the same host, so that a worker can shut down, s."""
NO_THREAD_WAIT_S: Final = {HostStatus.UNKNOWN: 2.0, HostStatus.HANGING: 15.0}
"""The wait of a delivery for whose host no thread may be used now, s."""
NO_SHARE_WAIT_S: Final = 2.0
"""The wait of a delivery whose slow bucket holds as many threads as it may, s."""


MAX_FAILURES: Final = 100
"""Failed rows that the callback of a batch names."""


class DeliveryObserver(Protocol):
    """Receives reports on delivery attempts, from the thread that makes them."""

    def started(self, delivery: Delivery) -> None:
        """An attempt has started."""

    def ended(self, delivery: Delivery, outcome: Outcome, state: str, seconds: float) -> None:
        """An attempt has ended; ``state`` is the delivery's new one: delivered, pending or dead."""


@dataclass(frozen=True, slots=True)
class _Announced:
    """A job or a batch whose end a delivery announces."""

    spec: JobSpec
    body: bytes


class DeliveryService:
    """Delivers callbacks for one process; safe to use from several threads."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        observer: DeliveryObserver | None = None,
        tracer: telemetry.Tracer | None = None,
        key_pairs: CredentialFile[Credential] | None = None,
    ) -> None:
        """Prepare the senders; connects to nothing yet.

        Args:
            store: Holds the outbox.
            settings: Timeouts, schedule, secrets and endpoints.
            observer: Receives reports on each attempt.
            tracer: Starts a span for each attempt.
            key_pairs: Hold webhook secrets; by default those that the settings name.
        """
        options = settings.callbacks
        self._observer = observer
        self._store = store
        self._schedule = Schedule(options.schedule_s, options.jitter)
        self._secrets = WebhookSecrets(
            options, CredentialFiles.of(settings).key_pairs if key_pairs is None else key_pairs
        )
        self._health = HostHealth(options.concurrency)
        self._shares = BucketShares(options.concurrency)
        self._reservation_s = RESERVATION_TIMEOUTS * options.timeout_s
        self._per_host = options.per_host
        self._tracer = tracer or telemetry.Tracer()
        self._mq = MqSender(settings)
        guard = AddressGuard.allowing(options.allow_networks)
        self._url = UrlSender(guard, options.timeout_s, options.proxy)

    def deliver(self, delivery_id: str) -> bool:
        """Attempt a delivery that is due, then those that wait for a slot of the same host.

        Safe to call twice, and with ids of deliveries that are over.

        Returns:
            Whether the delivery was due and reserved by this call.

        Raises:
            StoreUnavailable: Nothing is lost; the delivery is due again when its reservation expires.
        """
        delivery = self._store.outbox.reserve(delivery_id, self._reservation_s)
        if delivery is None:
            return False
        host = self._host(delivery)
        if self._acquire(host, delivery.id) is not Slot.ACQUIRED:
            return True
        current: str | None = delivery.id
        deadline = time.monotonic() + MAX_CHAIN_S
        while current:
            try:
                self._attempt(host, current)
            finally:
                limit = 0 if time.monotonic() > deadline else self._limit(host)
                current = self._store.host_slots.release(
                    host, current, limit=limit, ttl_s=self._reservation_s
                )
        return True

    def _acquire(self, host: str, delivery_id: str) -> Slot:
        slots = self._store.host_slots
        return slots.acquire(host, delivery_id, limit=self._limit(host), ttl_s=self._reservation_s)

    def _host(self, delivery: Delivery) -> str:
        """Return what the limit counts by: host and port of a URL, or the broker of a message queue."""
        if delivery.target.mq is not None:
            return self._mq.host(delivery.target.mq)
        try:
            return parse_url(delivery.target.url).authority
        except BadUrl:
            return "nowhere"

    def _limit(self, host: str) -> int:
        """Return how many deliveries may go to a host at once: one if it hangs."""
        return 1 if self._health.status(host) is HostStatus.HANGING else self._per_host

    def _attempt(self, host: str, delivery_id: str) -> None:
        """Make one attempt at a delivery that holds a slot."""
        # It may have waited for the slot, and another worker may have sent it after its reservation expired.
        delivery = self._store.outbox.get(delivery_id)
        if delivery is None or delivery.status != "pending":
            return
        # After an attempt the first wait is over; a delivery that was asked for does not wait.
        is_due = delivery.counted or delivery.scheduled is not None
        first_wait = 0 if is_due else round(self._schedule.waits_s[0] * 1e6)
        if first_wait and delivery.created + first_wait > self._store.now():
            self._postpone(delivery, delivery.created + first_wait)
            return
        announced = self._announced(delivery)
        with self._health.thread_for(host) as allowed, self._shares.thread_for(delivery.tenant) as has_share:
            if not (allowed and has_share):
                wait_s = NO_THREAD_WAIT_S.get(self._health.status(host), NO_SHARE_WAIT_S)
                self._postpone(delivery, self._store.now() + round(wait_s * 1e6))
                return
            if self._observer is not None:
                self._observer.started(delivery)
            started, clock = self._store.now(), time.monotonic()
            outcome = self._send(delivery, announced, started / 1e6)
            duration_s = time.monotonic() - clock
        self._health.record(host, outcome, duration_s)
        self._shares.record(delivery.tenant, duration_s)
        trace = "" if announced is None else telemetry.trace_id(announced.spec.trace)
        with structlog.contextvars.bound_contextvars(trace=trace):
            self._record(delivery, outcome, started, round(duration_s * 1000))

    def _postpone(self, delivery: Delivery, due: int) -> None:
        """Make a delivery due later (µs since the epoch) without counting an attempt."""
        self._store.outbox.record(delivery.id, None, next_due=due, status="pending", created=delivery.created)

    def _announced(self, delivery: Delivery) -> _Announced | None:
        """Return what a delivery announces; None if its record is gone."""
        jobs, form = self._store.jobs, delivery.target.format
        if not delivery.job_id.startswith("b"):
            job = jobs.find(delivery.job_id)
            return None if job is None else _Announced(job.spec, body(job, form))
        batch = self._store.batches.find(delivery.job_id)
        if batch is None:
            return None
        which = JobFilter(batch=batch.id, states=frozenset({State.FAILED}), unretried=True, order="Asc")
        failures: list[Job] = []
        while len(failures) < MAX_FAILURES:
            page = jobs.search(batch.tenant, replace(which, size=MAX_FAILURES - len(failures)))
            failures += page.items
            if page.cursor is None:
                break
            which = replace(which, cursor=page.cursor)
        return _Announced(batch.spec, batch_body(batch, failures, form))

    def _send(self, delivery: Delivery, announced: _Announced | None, now_s: float) -> Outcome:
        """Send within a span of the job's trace; every failure becomes an outcome."""
        if announced is None:
            return failed("gone", "the job's record is past its retention", final=True)
        attributes = {"job": delivery.job_id, "delivery": delivery.id, "host": delivery.target.host}
        with self._tracer.span("deliver", announced.spec.trace, kind=SpanKind.CLIENT, **attributes) as span:
            try:
                if delivery.target.mq is not None:
                    outcome = self._send_to_mq(delivery, delivery.target.mq, announced, now_s)
                else:
                    outcome = self._send_to_url(delivery, announced, now_s, telemetry.traceparent(span))
            except Exception as error:
                log.exception("callback.crashed", delivery=delivery.id)
                outcome = failed("error", reason_of(error))
            telemetry.annotate(span, status=outcome.status, delivered=outcome.delivered)
            return outcome

    def _send_to_mq(self, delivery: Delivery, mq: MqConfig, announced: _Announced, now_s: float) -> Outcome:
        return self._mq.send(
            mq, announced.body, CONTENT_TYPES[delivery.target.format], delivery.message_id, now_s
        )

    def _send_to_url(
        self, delivery: Delivery, announced: _Announced, now_s: float, traceparent: str
    ) -> Outcome:
        content, form = announced.body, CONTENT_TYPES[delivery.target.format]
        try:
            headers = signed_headers(
                delivery.message_id, int(now_s), content, self._secrets.of(announced.spec)
            )
        except (OSError, ValueError) as error:
            # A late callback is better than an unsigned one.
            return failed("unsigned", f"the webhook secrets cannot be used: {reason_of(error)}")
        if traceparent:
            headers = {**headers, "traceparent": traceparent}
        return self._url.send(delivery.target.url, content, form, headers, now_s)

    def _next(self, delivery: Delivery, outcome: Outcome) -> tuple[str, int | None]:
        """Return the state of a delivery after an attempt, and when the next one is due, µs."""
        if outcome.delivered:
            return "delivered", None
        if outcome.final:
            return "dead", None
        if delivery.scheduled is not None:
            return "pending", delivery.scheduled
        wait = self._schedule.next_wait_s(delivery.counted + 1, outcome.retry_after_s)
        return ("dead", None) if wait is None else ("pending", self._store.now() + round(wait * 1e6))

    def _record(self, delivery: Delivery, outcome: Outcome, started: int, duration_ms: int) -> None:
        attempt = DeliveryAttempt(started, outcome.status, duration_ms, outcome.answer)
        state, next_due = self._next(delivery, outcome)
        by_hand = delivery.scheduled is not None
        self._store.outbox.record(
            delivery.id,
            attempt,
            next_due=next_due,
            status=state,
            by_hand=by_hand,
            created=delivery.created,
        )
        if self._observer is not None:
            self._observer.ended(delivery, outcome, state, duration_ms / 1000)
        write = log.info if outcome.delivered else log.warning
        write(
            "callback.attempted",
            delivery=delivery.id,
            job=delivery.job_id,
            host=delivery.target.host,
            attempt=len(delivery.attempts) + 1,
            status=outcome.status,
            duration_ms=duration_ms,
            state=state,
            by_hand=by_hand,
            next_wait_s=None if next_due is None else round((next_due - self._store.now()) / 1e6, 1),
        )
