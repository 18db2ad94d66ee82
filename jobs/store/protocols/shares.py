"""Protocol of the shares of credentials."""

from __future__ import annotations

from typing import Protocol

from stemline.jobs.share import Share


class ShareRepository(Protocol):
    """Weights of credentials, by which their jobs take turns in a queue."""

    def get(self, credential: str) -> Share | None:
        """Return the share of a credential; ``None`` if it has submitted no job with a weight yet."""
        ...

    def override(self, credential: str, weight: int, until: int) -> None:
        """Give it another weight until a time, µs since the epoch; a time that has passed ends that."""
        ...
