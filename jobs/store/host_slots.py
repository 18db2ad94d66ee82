"""Slots of hosts in Redis."""

from __future__ import annotations

from stemline.jobs.store.connection import Connection
from stemline.jobs.store.protocols import HostSlots
from stemline.jobs.store.values import Slot


class RedisHostSlots(HostSlots):
    """Slots of hosts in Redis."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def acquire(self, host: str, delivery: str, *, limit: int, ttl_s: float) -> Slot:
        return Slot(int(self._connection.run("acquire_slot", host, delivery, limit, round(ttl_s * 1e6))))

    def release(self, host: str, delivery: str, *, limit: int, ttl_s: float) -> str | None:
        answer = self._connection.run("release_slot", host, delivery, limit, round(ttl_s * 1e6))
        return str(answer) if answer else None
