"""What attempts left in buckets, in Redis."""

from __future__ import annotations

import json

from stemline.jobs.leftover import Leftover
from stemline.jobs.store import records
from stemline.jobs.store.connection import Connection
from stemline.jobs.store.protocols import LeftoverRepository


class RedisLeftovers(LeftoverRepository):
    """What attempts left in buckets, in Redis."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def reserve(self) -> Leftover | None:
        found = self._connection.run("reserve_leftover")
        if not found:
            return None
        record = records.pairs(found)
        return Leftover(
            id=record["id"],
            job_id=record["job"],
            token=int(record["token"]),
            uploads=tuple(json.loads(record["uploads"])),
            since=int(record["since"]),
            tries=int(record["tries"]),
        )

    def drop(self, leftover_id: str, *, removed: bool) -> None:
        self._connection.run("drop_leftover", leftover_id, "removed" if removed else "given_up")
