"""Queues in Redis."""

from __future__ import annotations

from stemline.jobs.errors import ChangedMeanwhile, NoSuchQueue
from stemline.jobs.queue import NotifyConfig, Override, Queue, Reserved, first_queue
from stemline.jobs.states import QueueState
from stemline.jobs.store import records
from stemline.jobs.store.connection import Connection
from stemline.jobs.store.protocols import QueueRepository
from stemline.jobs.store.values import Listing, QueueFilter
from stemline.jobs.tenant import Tenant


class RedisQueues(QueueRepository):
    """Queues in Redis."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def search(self, tenant: Tenant, which: QueueFilter) -> Listing[Queue]:
        connection = self._connection
        known = connection.read(connection.client.zrange, connection.key("queues", str(tenant)), 0, -1)
        queues = self._load(known)
        if not queues and connection.options.auto_open:
            queues = [first_queue(tenant, connection.options.queue_limits, connection.now())]
        return which.choose(queues)

    def update(
        self,
        tenant: Tenant,
        queue_id: str,
        *,
        name: str | None = None,
        state: QueueState | None = None,
        notify: NotifyConfig | None = None,
        max_size: int | None = None,
        max_concurrent: int | None = None,
        weight: int | None = None,
        reserved: Reserved | None = None,
        override: Override | None = None,
        revision: int | None = None,
    ) -> Queue:
        changes: dict[str, str | int | None] = {
            "name": name,
            "state": state,
            "notify": records.text(records.NOTIFY, notify) if notify else None,
            "max_size": max_size,
            "max_concurrent": max_concurrent,
            "weight": weight,
            "reserved:1": reserved[0] if reserved else None,
            "reserved:2": reserved[1] if reserved else None,
        }
        flat = [text for field, value in changes.items() if value is not None for text in (field, str(value))]
        limits: tuple[str | int, ...] = ("", "", "")
        if override:
            limits = (override.until, override.max_concurrent or "", override.weight or "")
        seen = "" if revision is None else revision
        answer = self._connection.run("queue", str(tenant), queue_id, *limits, seen, *flat)
        if answer[0] == "unknown":
            raise NoSuchQueue
        if answer[0] == "changed":
            raise ChangedMeanwhile
        self._connection.wake_up(answer[1])
        for queue in self._load([queue_id]):
            return queue
        raise NoSuchQueue  # gone since, with the bucket

    def _load(self, ids: list[str]) -> list[Queue]:
        rows = zip(ids, self._connection.hashes("queue", ids), strict=True)
        return [records.queue(queue_id, record) for queue_id, record in rows if record]
