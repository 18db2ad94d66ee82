"""Events in Redis: a stream for each tenant, written by the scripts that change something."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from stemline.jobs.event import Event
from stemline.jobs.job import Job
from stemline.jobs.store import records
from stemline.jobs.store.connection import Connection
from stemline.jobs.store.protocols import EventRepository
from stemline.jobs.tenant import Tenant

_READ_AT_ONCE: Final = 1000


class RedisEvents(EventRepository):
    """Events in Redis."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def begin(self, tenant: Tenant, ids: Sequence[str] = ()) -> tuple[str, list[Job | None]]:
        last, found = self._connection.run("watch", str(tenant), *ids)
        return last, [records.job(record) for record in found]

    def read(self, tenant: Tenant, after: str, limit: int = 500) -> list[Event] | None:
        answer = self._connection.run("events", str(tenant), after, limit)
        if answer is None:
            return None
        return [records.event(name, records.pairs(flat)) for name, flat in answer[0]]

    def wait(self, after: Mapping[Tenant, str], timeout_s: float) -> dict[Tenant, list[Event]]:
        connection = self._connection
        streams = {connection.key("events", str(tenant)): tenant for tenant in after}
        found = connection.read(
            connection.client.xread,
            {key: after[tenant] for key, tenant in streams.items()},
            count=_READ_AT_ONCE,
            block=max(1, round(timeout_s * 1000)),
        )
        rows = dict(found).items() if found else ()
        return {streams[key]: [records.event(*entry) for entry in entries] for key, entries in rows}
