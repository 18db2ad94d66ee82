"""Prometheus metrics about the job store, read from it at each scrape.

Every process that serves these metrics reports the same numbers, so queries aggregate them with ``max``,
never with ``sum``. The queues with the most jobs have labels of their own; the rest are summed as ``other``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from typing import Final

import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from stemline.jobs.errors import StemlineError
from stemline.jobs.states import State
from stemline.jobs.store import QueueLoad, QueueTotals, ServerStatus, Snapshot, Statistics
from stemline.jobs.store.snapshot import LEVELS
from stemline.runtime.threads import in_thread

log = structlog.get_logger(__name__)

OTHER: Final = "other"
_REUSE_S: Final = 2.0
"""How long an answer is reused, so that many scrapers cost the store no more than one."""
TIMEOUT_S: Final = 4.0
"""How long a scrape waits for the store; Prometheus gives the whole page up after 10 s by default."""


class StoreCollector(Collector):
    """Reads the store when Prometheus asks; a store that does not answer is ``stemline_store_up 0``."""

    def __init__(self, statistics: Statistics, *, max_queues: int, timeout_s: float = TIMEOUT_S) -> None:
        """Report the numbers of a store.

        Args:
            statistics: Statistics of the store.
            max_queues: How many queues have labels of their own.
            timeout_s: How long a scrape waits for the store, s.
        """
        self._statistics = statistics
        self._max_queues = max_queues
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._reading: Future[list[Metric]] | None = None
        self._read_at = -_REUSE_S
        self._reported = False

    def describe(self) -> Iterable[Metric]:
        """Describe nothing in advance, so that registering needs no store."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Return all metrics, at most ``_REUSE_S`` old; only that the store is down if it takes too long."""
        with self._lock:
            reading = self._reading
            if reading is None or (reading.done() and time.monotonic() - self._read_at >= _REUSE_S):
                # A store that hangs is asked once at a time, however many scrapes wait for it.
                reading = self._reading = in_thread(self._read, name="store-metrics")
        try:
            yield from reading.result(self._timeout_s)
        except TimeoutError:
            yield _up(is_up=False)

    def _read(self) -> list[Metric]:
        try:
            return list(self.read_now())
        finally:
            self._read_at = time.monotonic()

    def read_now(self) -> Iterator[Metric]:
        """Return all metrics, read at this moment."""
        try:
            snapshot = self._statistics.read(self._max_queues)
        except StemlineError:
            yield _up(is_up=False)
            return
        yield _up(is_up=True)
        yield from _jobs(snapshot)
        yield from _queues(snapshot.queues, snapshot.totals_of_queues)
        yield from _callbacks(snapshot)
        yield from _leftovers(snapshot)
        yield from _totals(snapshot)
        yield from self._server(snapshot.server)

    def _server(self, server: ServerStatus) -> Iterator[Metric]:
        """Return the server's own metrics; without the right to read them none, said once in the log."""
        if server.missing:
            if not self._reported:
                log.warning("metrics.server_not_read", reason=server.missing, needs="the command INFO")
            self._reported = True
            return
        self._reported = False
        yield from _server(server)


def _up(*, is_up: bool) -> Metric:
    return _gauge("stemline_store_up", "Whether the job store answers.", is_up)


def _jobs(snapshot: Snapshot) -> Iterator[Metric]:
    states = GaugeMetricFamily("stemline_jobs", "Jobs on record by state.", labels=["state"])
    for state, count in snapshot.states.items():
        states.add_metric([state], count)
    yield states
    yield _gauge("stemline_jobs_delayed", "Released jobs that wait for their next attempt.", snapshot.delayed)
    yield _gauge(
        "stemline_leases_expired",
        "Running jobs whose lease has expired and that no sweeper has reclaimed yet.",
        snapshot.expired_leases,
    )
    age = GaugeMetricFamily(
        "stemline_jobs_waiting_age_seconds",
        "How long the oldest waiting job of any queue that is not paused has waited.",
        labels=["level"],
    )
    startable = GaugeMetricFamily(
        "stemline_jobs_startable",
        "Waiting jobs that a free worker could start now; a queue's room counts for its highest level first.",
        labels=["level"],
    )
    totals = snapshot.totals_of_queues
    for level in LEVELS:
        oldest = totals.oldest[level]
        age.add_metric([str(level)], 0.0 if oldest is None else max(0.0, (snapshot.at - oldest) / 1e6))
        startable.add_metric([str(level)], totals.startable[level])
    yield age
    yield startable
    wanted = GaugeMetricFamily(
        "stemline_jobs_wanting_model",
        "Waiting jobs that want a model which not every worker serves, of the 20 most wanted.",
        labels=["model"],
    )
    unserved = GaugeMetricFamily(
        "stemline_jobs_without_worker", "The same, where no worker that runs serves it.", labels=["model"]
    )
    for demand in snapshot.demands:
        wanted.add_metric([demand.wants], demand.waiting)
        unserved.add_metric([demand.wants], 0 if demand.served else demand.waiting)
    yield wanted
    yield unserved


def _queues(named: Sequence[QueueLoad], totals: QueueTotals) -> Iterator[Metric]:
    labels = ["bucket", "queue"]
    waiting = GaugeMetricFamily(
        "stemline_queue_waiting", "Waiting jobs by queue and JobLevel.", labels=[*labels, "level"]
    )
    running = GaugeMetricFamily("stemline_queue_running", "Running jobs by queue.", labels=labels)
    limit = GaugeMetricFamily(
        "stemline_queue_max_concurrent", "Jobs that may run at once, by queue.", labels=labels
    )
    paused = GaugeMetricFamily("stemline_queue_paused", "Queues that are paused.", labels=labels)
    for queue in named:
        names = [str(queue.tenant), queue.id]
        for level in LEVELS:
            waiting.add_metric([*names, str(level)], queue.waiting[level])
        running.add_metric(names, queue.running)
        limit.add_metric(names, queue.max_concurrent)
        paused.add_metric(names, queue.paused)
    if totals.queues > len(named):
        names = [OTHER, OTHER]
        for level in LEVELS:
            rest = totals.waiting[level] - sum(queue.waiting[level] for queue in named)
            waiting.add_metric([*names, str(level)], rest)
        running.add_metric(names, totals.running - sum(queue.running for queue in named))
        limit.add_metric(names, totals.max_concurrent - sum(queue.max_concurrent for queue in named))
        paused.add_metric(names, totals.paused - sum(queue.paused for queue in named))
    yield from (waiting, running, limit, paused)


def _callbacks(snapshot: Snapshot) -> Iterator[Metric]:
    callbacks = snapshot.callbacks
    late_s = 0.0 if callbacks.oldest_due is None else max(0.0, (snapshot.at - callbacks.oldest_due) / 1e6)
    yield _gauge("stemline_callbacks_pending", "Callbacks that are not delivered yet.", callbacks.pending)
    yield _gauge("stemline_callbacks_due", "Callbacks whose next attempt is due now.", callbacks.due)
    yield _gauge("stemline_callbacks_late_seconds", "How long the most overdue callback is overdue.", late_s)
    yield _gauge("stemline_callbacks_dead", "Callbacks that were given up and not replayed.", callbacks.dead)


def _leftovers(snapshot: Snapshot) -> Iterator[Metric]:
    yield _gauge(
        "stemline_leftovers",
        "Attempts whose uploads could not be removed from a bucket; sweeps try again.",
        snapshot.leftovers,
    )
    over = CounterMetricFamily(
        "stemline_leftovers_ended", "The same that are over, by outcome.", labels=["outcome"]
    )
    for outcome in ("removed", "given_up"):
        over.add_metric([outcome], snapshot.totals.get(f"leftovers:{outcome}", 0))
    yield over


def _totals(snapshot: Snapshot) -> Iterator[Metric]:
    totals = snapshot.totals
    for name, text, total in (
        ("stemline_jobs_created", "Jobs accepted since the store was created.", "created"),
        ("stemline_jobs_hopped", "Jobs that changed their level after a wait.", "hopped"),
        ("stemline_jobs_reused", "Jobs whose stems were copied from an equal job.", "reused"),
        ("stemline_leases_lost", "Jobs reclaimed from workers whose lease expired.", "leases_lost"),
        ("stemline_callback_tries", "Attempts to deliver a callback.", "callback_tries"),
    ):
        yield CounterMetricFamily(name, text, value=totals.get(total, 0))
    audio_s = totals.get("audio_ms", 0) / 1000
    yield CounterMetricFamily("stemline_audio_seconds", "Audio of successful jobs, s.", value=audio_s)
    work = CounterMetricFamily(
        "stemline_work_seconds", "How long the last attempts of jobs ran, by device, s.", labels=["device"]
    )
    for name, value in sorted(totals.items()):
        if name.startswith("work_ms:"):
            work.add_metric([name.removeprefix("work_ms:")], value / 1000)
    yield work
    audio_by = CounterMetricFamily(
        "stemline_model_audio_seconds", "Audio of separated jobs, by what they want, s.", labels=["wants"]
    )
    work_by = CounterMetricFamily(
        "stemline_model_work_seconds", "How long separated jobs ran, by what they want, s.", labels=["wants"]
    )
    for family, prefix in ((audio_by, "audio_ms_of:"), (work_by, "work_ms_of:")):
        for name, value in sorted(totals.items()):
            if name.startswith(prefix):
                family.add_metric([name.removeprefix(prefix)], value / 1000)
        yield family
    moved = CounterMetricFamily(
        "stemline_object_bytes", "Sources and stems of successful jobs, bytes.", labels=["direction"]
    )
    for direction in ("in", "out"):
        moved.add_metric([direction], totals.get(f"bytes_{direction}", 0))
    yield moved
    ended = CounterMetricFamily("stemline_jobs_ended", "Jobs that ended, by state.", labels=["state"])
    for state in (State.SUCCESS, State.FAILED, State.CANCEL):
        ended.add_metric([state], totals.get(f"ended:{state}", 0))
    yield ended
    over = CounterMetricFamily(
        "stemline_callbacks", "Callbacks that are over, by outcome.", labels=["outcome"]
    )
    for outcome in ("delivered", "dead"):
        over.add_metric([outcome], totals.get(f"callbacks:{outcome}", 0))
    yield over


def _server(server: ServerStatus) -> Iterator[Metric]:
    yield _gauge("stemline_store_memory_bytes", "Memory that the store's server uses.", server.memory_bytes)
    yield _gauge(
        "stemline_store_memory_limit_bytes",
        "Memory that the store's server may use; 0 for no limit.",
        server.memory_limit_bytes,
    )
    yield _gauge(
        "stemline_store_append_only",
        "Whether the server's append-only file is on and its last write succeeded.",
        server.is_append_only,
    )


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)
