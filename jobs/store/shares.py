"""Shares of credentials in Redis."""

from __future__ import annotations

from stemline.jobs.queue import USUAL_WEIGHT
from stemline.jobs.share import Share
from stemline.jobs.store.connection import Connection
from stemline.jobs.store.protocols import ShareRepository


class RedisShares(ShareRepository):
    """Shares of credentials in Redis."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, credential: str) -> Share | None:
        (record,) = self._connection.hashes("share", [credential])
        if not record:
            return None
        until = int(record.get("until", 0))
        return Share(
            credential,
            int(record.get("weight", USUAL_WEIGHT)),
            int(record["temporary"]) if until > self._connection.now() else None,
            until if until > self._connection.now() else None,
        )

    def override(self, credential: str, weight: int, until: int) -> None:
        self._connection.run("share", credential, weight, until)
