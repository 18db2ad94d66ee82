"""Numbers about a store in Redis: the scripts keep them, one of them reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from stemline.jobs.serving import Demand
from stemline.jobs.states import State
from stemline.jobs.store import records
from stemline.jobs.store.connection import Connection
from stemline.jobs.store.protocols import Statistics
from stemline.jobs.store.server_errors import CLIENT_ERRORS, word_of
from stemline.jobs.store.snapshot import (
    LEVELS,
    CallbackLoad,
    QueueLoad,
    QueueTotals,
    ServerStatus,
    Snapshot,
    TenantLoad,
)
from stemline.jobs.tenant import Tenant

COUNTED_AT_ONCE: Final = 200
"""Tenants whose queues one call of the script counts; it blocks the server for about 0.3 ms for each."""
MAX_DEMANDS: Final = 20
"""Models that have numbers of their own: their names are those of clients."""


def read_demands(rows: Sequence[Sequence[Any]]) -> list[Demand]:
    """Return what waiting jobs want that are not in the common line, as a script returns it."""
    return [Demand(wants, int(waiting), served == 1) for wants, waiting, served in rows]


class RedisStatistics(Statistics):
    """Numbers about a store in Redis."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def read(self, max_queues: int = 100) -> Snapshot:
        values = (max_queues, COUNTED_AT_ONCE, MAX_DEMANDS)
        answer = self._connection.run("statistics", *values)
        while answer[0] == "counting":
            answer = self._connection.run("statistics", *values)
        now, counts, sums_list, rows, oldest, others, demands = answer
        sums = {name: int(value) for name, value in records.pairs(sums_list).items()}
        delayed, expired, pending, due, first_due, dead, leftovers = others
        return Snapshot(
            at=int(now),
            states=_states(sums),
            queues=tuple(map(_queue, rows)),
            totals_of_queues=QueueTotals(
                queues=sums.get("queues", 0),
                paused=sums.get("paused", 0),
                max_concurrent=sums.get("max_concurrent", 0),
                running=sums.get("running", 0),
                waiting=tuple(sums.get(f"waiting:{level}", 0) for level in LEVELS),
                startable=tuple(sums.get(f"startable:{level}", 0) for level in LEVELS),
                oldest=tuple(int(at) if at else None for at in oldest),
            ),
            delayed=delayed,
            expired_leases=expired,
            callbacks=CallbackLoad(pending, due, int(first_due) if first_due else None, dead),
            leftovers=leftovers,
            totals={name: int(value) for name, value in records.pairs(counts).items()},
            server=self._server(),
            demands=tuple(read_demands(demands)),
        )

    def of_tenant(self, tenant: Tenant) -> TenantLoad:
        counts, rows = self._connection.run("tenant_load", str(tenant))
        queues = tuple(_queue((queue_id, str(tenant), load)) for queue_id, load, *_ in rows)
        states = dict.fromkeys(State, 0)
        for state, jobs in zip(counts[::2], counts[1::2], strict=True):
            states[State(state)] = jobs
        later = {queue_id: jobs for queue_id, *_, jobs in rows}
        paused = [queue for queue in queues if queue.paused]
        states[State.PAUSE] = sum(sum(queue.waiting) + later[queue.id] for queue in paused)
        states[State.SUBMITTED] -= states[State.PAUSE]
        return TenantLoad(
            states,
            queues,
            {queue_id: int(at) for queue_id, _, at, *_ in rows if at},
            {queue_id: int(mean) for queue_id, *_, mean, _ in rows if mean},
            later,
        )

    def _server(self) -> ServerStatus:
        """Return the server's status."""
        info: Callable[[str], Any] = self._connection.client.info
        try:
            memory, persistence = info("memory"), info("persistence")
        except CLIENT_ERRORS as error:
            # The store has just answered: a user without INFO still has all other numbers.
            return ServerStatus(missing=word_of(error))
        return ServerStatus(
            memory_bytes=int(memory.get("used_memory", 0)),
            memory_limit_bytes=int(memory.get("maxmemory", 0)),
            is_append_only=persistence.get("aof_enabled") == 1
            and persistence.get("aof_last_write_status") == "ok",
        )


def _states(sums: Mapping[str, int]) -> dict[State, int]:
    """Return the jobs by state; those that wait in a paused queue are Pause, and stored as Submitted."""
    states = {state: sums.get(f"state:{state}", 0) for state in State}
    states[State.PAUSE] = sums.get("paused_waiting", 0)
    states[State.SUBMITTED] -= states[State.PAUSE]
    return states


def _queue(row: Sequence[str]) -> QueueLoad:
    queue_id, tenant, load = row
    *waiting, running, max_concurrent, paused = map(int, load.split()[:6])
    return QueueLoad(
        id=queue_id,
        tenant=records.tenant(tenant),
        paused=bool(paused),
        max_concurrent=max_concurrent,
        running=running,
        waiting=tuple(waiting),
    )
