"""What the job store holds, for Prometheus: read from the store when it is asked for.

Every process that serves these numbers tells the same, so queries take ``max``, never ``sum``, over them.
Queues have labels of their own up to ``metrics_queues``, the fullest first; the rest are summed as ``other``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import redis
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from stemline.jobs.errors import StemlineError
from stemline.jobs.states import QueueState, State
from stemline.jobs.store import Store

OTHER: Final = "other"
LEVELS: Final = (0, 1, 2)
_KEPT_S: Final = 2.0
"""How long an answer is used again, so that many scrapes cost the store no more than one."""
_AT_ONCE: Final = 200
"""Queues or tenants asked about in one trip."""
_STORED: Final = tuple(state for state in State if state is not State.PAUSE)


@dataclass(slots=True)
class _Queue:
    id: str
    bucket: str
    paused: bool
    room: int
    waiting: list[int]
    """By level."""
    oldest: list[float | None]
    """Creation time of the oldest waiting job by level, Unix seconds."""
    running: int

    @property
    def load(self) -> int:
        return sum(self.waiting) + self.running


@dataclass(slots=True)
class _Seen:
    """One look at the store."""

    now: float = 0.0
    states: dict[str, int] = field(default_factory=dict)
    queues: list[_Queue] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)


class StoreCollector(Collector):
    """Reads the store when Prometheus asks; a store that is away is ``stemline_store_up 0``."""

    def __init__(self, store: Store, *, most_queues: int) -> None:
        """Watch a store.

        Args:
            store: whose jobs.
            most_queues: queues that have labels of their own.
        """
        self._store = store
        self._most = most_queues
        self._lock = threading.Lock()
        self._kept: list[Metric] = []
        self._at = -_KEPT_S

    def describe(self) -> Iterable[Metric]:
        """Nothing: what there is depends on the store, which need not be there yet."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All numbers."""
        with self._lock:
            if time.monotonic() - self._at >= _KEPT_S:
                self._kept = list(self._read())
                self._at = time.monotonic()
            yield from self._kept

    def _read(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("stemline_store_up", "Whether the job store answers.")
        try:
            seen = self._look()
        except (redis.exceptions.RedisError, StemlineError):
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        yield from self._jobs(seen)
        yield from self._of_queues(seen)
        yield from _callbacks(seen)
        yield from _totals(seen.counts)
        yield from _server(seen)

    # -- reading

    def _look(self) -> _Seen:
        key, client = self._store.scripts.key, self._store.client
        now = self._store.now()
        seen = _Seen(now=now / 1e6)
        tenants = [str(name) for name in client.zrange(key("tenants"), 0, -1)]
        seen.states = dict.fromkeys(_STORED, 0)
        queues: list[str] = []
        for part in _parts(tenants):
            with client.pipeline(transaction=False) as pipe:
                for tenant in part:
                    for state in _STORED:
                        pipe.zcard(key("index", tenant, state))
                    pipe.zrange(key("queues", tenant), 0, -1)
                rows = pipe.execute()
            width = len(_STORED) + 1
            for start in range(0, len(rows), width):
                for state, count in zip(_STORED, rows[start:], strict=False):
                    seen.states[state] += int(count)
                queues += rows[start + width - 1]
        for part in _parts(queues):
            seen.queues += self._look_at_queues(part)
        seen.numbers, seen.counts, seen.memory = self._look_at_the_rest(now)
        return seen

    def _look_at_queues(self, ids: Sequence[str]) -> Iterator[_Queue]:
        key = self._store.scripts.key
        with self._store.client.pipeline(transaction=False) as pipe:
            for each in ids:
                pipe.hmget(key("queue", each), "tenant", "state", "max_concurrent")
                pipe.scard(key("running", each))
                for level in LEVELS:
                    pipe.zcard(key("waiting", each, str(level)))
                    pipe.zrange(key("waiting", each, str(level)), 0, 0, withscores=True)
            rows = iter(pipe.execute())
        for each in ids:
            (tenant, state, room), running = next(rows), next(rows)
            levels = [(next(rows), next(rows)) for _ in LEVELS]
            if tenant is None:
                continue
            yield _Queue(
                id=each,
                bucket=tenant,
                paused=state == QueueState.PAUSED,
                room=int(room or 0),
                waiting=[int(count) for count, _ in levels],
                oldest=[float(first[0][1]) / 1e6 if first else None for _, first in levels],
                running=int(running),
            )

    def _look_at_the_rest(self, now: int) -> tuple[dict[str, float], dict[str, int], dict[str, float]]:
        key, client = self._store.scripts.key, self._store.client
        with client.pipeline(transaction=False) as pipe:
            pipe.zcard(key("delayed"))
            pipe.zcount(key("leases"), "-inf", now)
            pipe.zcard(key("outbox"))
            pipe.zcount(key("outbox"), "-inf", now)
            pipe.zrange(key("outbox"), 0, 0, withscores=True)
            pipe.zcard(key("dead"))
            pipe.hgetall(key("counts"))
            pipe.info("memory")
            pipe.info("persistence")
            delayed, expired, pending, due, first, dead, counts, memory, kept = pipe.execute()
        numbers = {
            "delayed": delayed,
            "leases_expired": expired,
            "pending": pending,
            "due": due,
            "late": max(0.0, (now - float(first[0][1])) / 1e6) if first else 0.0,
            "dead": dead,
        }
        server = {
            "used": float(memory.get("used_memory", 0)),
            "limit": float(memory.get("maxmemory", 0)),
            "aof": float(kept.get("aof_enabled", 0) == 1 and kept.get("aof_last_write_status") == "ok"),
        }
        return numbers, {str(name): int(value) for name, value in counts.items()}, server

    # -- telling

    def _jobs(self, seen: _Seen) -> Iterator[Metric]:
        paused = sum(sum(queue.waiting) for queue in seen.queues if queue.paused)
        states = GaugeMetricFamily("stemline_jobs", "Jobs on record by state.", labels=["state"])
        for state, count in seen.states.items():
            states.add_metric([state], max(0, count - paused) if state == State.SUBMITTED else count)
        states.add_metric([State.PAUSE], paused)
        yield states
        yield _gauge("stemline_jobs_delayed", "Jobs that wait for another try.", seen.numbers["delayed"])
        yield _gauge(
            "stemline_leases_expired",
            "Running jobs whose worker gives no sign of life and that no sweeper has taken yet.",
            seen.numbers["leases_expired"],
        )
        age = GaugeMetricFamily(
            "stemline_jobs_waiting_age_seconds",
            "How long the oldest waiting job of any queue that is not paused has waited.",
            labels=["level"],
        )
        room = GaugeMetricFamily(
            "stemline_jobs_startable", "Waiting jobs that a free worker could start now.", labels=["level"]
        )
        for level in LEVELS:
            active = [queue for queue in seen.queues if not queue.paused]
            oldest = [at for queue in active if (at := queue.oldest[level]) is not None]
            age.add_metric([str(level)], max(0.0, seen.now - min(oldest)) if oldest else 0.0)
            free = sum(max(0, min(queue.room - queue.running, queue.waiting[level])) for queue in active)
            room.add_metric([str(level)], free)
        yield age
        yield room

    def _of_queues(self, seen: _Seen) -> Iterator[Metric]:
        waiting = GaugeMetricFamily(
            "stemline_queue_waiting",
            "Waiting jobs by queue and JobLevel.",
            labels=["bucket", "queue", "level"],
        )
        running = GaugeMetricFamily(
            "stemline_queue_running", "Running jobs by queue.", labels=["bucket", "queue"]
        )
        room = GaugeMetricFamily(
            "stemline_queue_max_concurrent",
            "Jobs that may run at once, by queue.",
            labels=["bucket", "queue"],
        )
        paused = GaugeMetricFamily(
            "stemline_queue_paused", "Queues that are paused.", labels=["bucket", "queue"]
        )
        ranked = sorted(seen.queues, key=lambda queue: (-queue.load, queue.id))
        named, rest = ranked[: self._most], ranked[self._most :]
        groups = [((queue.bucket, queue.id), [queue]) for queue in named]
        for labels, queues in [*groups, *([((OTHER, OTHER), rest)] if rest else [])]:
            for level in LEVELS:
                waiting.add_metric([*labels, str(level)], sum(queue.waiting[level] for queue in queues))
            running.add_metric(labels, sum(queue.running for queue in queues))
            room.add_metric(labels, sum(queue.room for queue in queues))
            paused.add_metric(labels, sum(queue.paused for queue in queues))
        yield from (waiting, running, room, paused)


def _callbacks(seen: _Seen) -> Iterator[Metric]:
    told = {
        "stemline_callbacks_pending": ("Callbacks that are not delivered yet.", "pending"),
        "stemline_callbacks_due": ("Callbacks whose next try is due now.", "due"),
        "stemline_callbacks_late_seconds": ("How long the most overdue callback is overdue.", "late"),
        "stemline_callbacks_dead": ("Callbacks that were given up and not replayed.", "dead"),
    }
    for name, (text, number) in told.items():
        yield _gauge(name, text, seen.numbers[number])


def _totals(counts: dict[str, int]) -> Iterator[Metric]:
    for name, text, field_ in (
        ("stemline_jobs_created", "Jobs accepted since the store was made.", "created"),
        ("stemline_leases_lost", "Jobs taken from workers that gave no sign of life.", "leases_lost"),
        ("stemline_callback_tries", "Tries to deliver a callback.", "callback_tries"),
    ):
        yield CounterMetricFamily(name, text, value=counts.get(field_, 0))
    ended = CounterMetricFamily("stemline_jobs_ended", "Jobs that ended, by state.", labels=["state"])
    for state in (State.SUCCESS, State.FAILED, State.CANCEL):
        ended.add_metric([state], counts.get(f"ended:{state}", 0))
    yield ended
    over = CounterMetricFamily(
        "stemline_callbacks", "Callbacks that are over, by outcome.", labels=["outcome"]
    )
    for outcome in ("delivered", "dead"):
        over.add_metric([outcome], counts.get(f"callbacks:{outcome}", 0))
    yield over


def _server(seen: _Seen) -> Iterator[Metric]:
    yield _gauge("stemline_store_memory_bytes", "Memory the store's server uses.", seen.memory["used"])
    yield _gauge("stemline_store_memory_limit_bytes", "Its maxmemory; 0 is no limit.", seen.memory["limit"])
    yield _gauge(
        "stemline_store_append_only",
        "Whether its append-only file is on and could be written.",
        seen.memory["aof"],
    )


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _parts(items: Sequence[str]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), _AT_ONCE):
        yield items[start : start + _AT_ONCE]
