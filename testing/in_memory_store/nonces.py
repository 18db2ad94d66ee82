"""Nonces in memory."""

from __future__ import annotations

from stemline.jobs.errors import NoncesFull
from stemline.jobs.store import NonceRepository
from stemline.testing.in_memory_store.contents import Contents


class InMemoryNonces(NonceRepository):
    """Nonces in memory."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents

    def is_used(self, credential: str, nonce: str) -> bool:
        contents = self._contents
        with contents.lock:
            return contents.nonces.get((credential, nonce), ("", 0))[1] > contents.clock()

    def use(self, credential: str, nonce: str, *, request_id: str, ttl_s: int) -> bool:
        contents, key = self._contents, (credential, nonce)
        with contents.lock:
            now = contents.clock()
            user, expires_at = contents.nonces.get(key, ("", 0))
            if expires_at > now:
                return user == request_id
            kept = sum(name == credential and end > now for (name, _), (_, end) in contents.nonces.items())
            if kept >= contents.options.nonces_per_credential:
                raise NoncesFull
            contents.nonces[key] = (request_id, now + max(ttl_s, 1) * 1_000_000)
            return True
