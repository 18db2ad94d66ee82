"""Shares of credentials, in memory."""

from __future__ import annotations

from dataclasses import replace

from stemline.jobs.share import Share
from stemline.jobs.store import ShareRepository
from stemline.testing.in_memory_store.contents import Contents


class InMemoryShares(ShareRepository):
    """Shares of credentials, in memory."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents

    def get(self, credential: str) -> Share | None:
        with self._contents.lock:
            found, now = self._contents.shares.get(credential), self._contents.clock()
        if found is None or (found.until or 0) > now:
            return found
        return replace(found, temporary=None, until=None)

    def override(self, credential: str, weight: int, until: int) -> None:
        with self._contents.lock:
            known = self._contents.shares.get(credential, Share(credential))
            self._contents.shares[credential] = replace(known, temporary=weight, until=until)
