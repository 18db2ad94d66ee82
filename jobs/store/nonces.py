"""Nonces in Redis."""

from __future__ import annotations

from stemline.jobs.errors import NoncesFull
from stemline.jobs.store.connection import Connection
from stemline.jobs.store.protocols import NonceRepository


class RedisNonces(NonceRepository):
    """Nonces in Redis, as keys that expire."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def is_used(self, credential: str, nonce: str) -> bool:
        connection = self._connection
        return bool(connection.read(connection.client.exists, connection.key("nonce", credential, nonce)))

    def use(self, credential: str, nonce: str, *, request_id: str, ttl_s: int) -> bool:
        most = self._connection.options.nonces_per_credential
        answer = self._connection.run("use_nonce", credential, nonce, request_id, max(ttl_s, 1), most)
        if answer == -1:
            raise NoncesFull
        return bool(answer == 1)
