"""Numbers about a store in Redis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from stemline.jobs.states import QueueState, State
from stemline.jobs.store import records
from stemline.jobs.store.connection import Connection
from stemline.jobs.store.protocols import Statistics
from stemline.jobs.store.snapshot import LEVELS, CallbackLoad, QueueLoad, ServerStatus, Snapshot

_BATCH: Final = 200
"""Queues or tenants that are read in one round trip."""
_STORED: Final = tuple(state for state in State if state is not State.PAUSE)
"""Pause is stored as Submitted."""


class RedisStatistics(Statistics):
    """Numbers about a store in Redis."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def read(self) -> Snapshot:
        now = self._connection.now()
        states, ids = self._tenants()
        queues = tuple(load for batch in _batches(ids) for load in self._queues(batch))
        states[State.PAUSE] = sum(sum(queue.waiting) for queue in queues if queue.paused)
        # Read one after the other, the numbers may differ by the jobs that moved in between.
        states[State.SUBMITTED] = max(0, states[State.SUBMITTED] - states[State.PAUSE])
        connection = self._connection
        with connection.client.pipeline(transaction=False) as pipe:
            pipe.zcard(connection.key("delayed"))
            pipe.zcount(connection.key("leases"), "-inf", now)
            pipe.zcard(connection.key("outbox"))
            pipe.zcount(connection.key("outbox"), "-inf", now)
            pipe.zrange(connection.key("outbox"), 0, 0, withscores=True)
            pipe.zcard(connection.key("dead"))
            pipe.hgetall(connection.key("counts"))
            pipe.info("memory")
            pipe.info("persistence")
            delayed, expired, pending, due, first, dead, totals, memory, persistence = connection.read(
                pipe.execute
            )
        return Snapshot(
            at=now,
            states=states,
            queues=queues,
            delayed=delayed,
            expired_leases=expired,
            callbacks=CallbackLoad(pending, due, int(first[0][1]) if first else None, dead),
            totals={name: int(value) for name, value in totals.items()},
            server=ServerStatus(
                memory_bytes=int(memory.get("used_memory", 0)),
                memory_limit_bytes=int(memory.get("maxmemory", 0)),
                is_append_only=persistence.get("aof_enabled") == 1
                and persistence.get("aof_last_write_status") == "ok",
            ),
        )

    def _tenants(self) -> tuple[dict[State, int], list[str]]:
        """Return the jobs by stored state and the ids of all queues."""
        connection = self._connection
        tenants = connection.read(connection.client.zrange, connection.key("tenants"), 0, -1)
        states: dict[State, int] = dict.fromkeys(_STORED, 0)
        queues: list[str] = []
        for batch in _batches(tenants):
            with connection.client.pipeline(transaction=False) as pipe:
                for tenant in batch:
                    for state in _STORED:
                        pipe.zcard(connection.key("index", tenant, state))
                    pipe.zrange(connection.key("queues", tenant), 0, -1)
                answers = iter(connection.read(pipe.execute))
            for _ in batch:
                for state in _STORED:
                    states[state] += next(answers)
                queues += next(answers)
        return states, queues

    def _queues(self, ids: Sequence[str]) -> Iterator[QueueLoad]:
        connection = self._connection
        with connection.client.pipeline(transaction=False) as pipe:
            for queue_id in ids:
                pipe.hmget(connection.key("queue", queue_id), "tenant", "state", "max_concurrent")
                pipe.scard(connection.key("running", queue_id))
                for level in LEVELS:
                    key = connection.key("waiting", queue_id, str(level))
                    pipe.zcard(key)
                    pipe.zrange(key, 0, 0, withscores=True)
            answers: Iterator[Any] = iter(connection.read(pipe.execute))
        for queue_id in ids:
            (tenant, state, max_concurrent), running = next(answers), next(answers)
            levels = [(next(answers), next(answers)) for _ in LEVELS]
            yield QueueLoad(
                id=queue_id,
                tenant=records.tenant(tenant),
                paused=state == QueueState.PAUSED,
                max_concurrent=int(max_concurrent),
                running=running,
                waiting=tuple(count for count, _ in levels),
                oldest=tuple(int(first[0][1]) if first else None for _, first in levels),
            )


def _batches(items: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]
