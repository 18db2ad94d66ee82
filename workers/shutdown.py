"""When the shutdown of a worker was requested, known in every process of its pool."""

from __future__ import annotations

import multiprocessing
import time


class Shutdown:
    """The time of the request; shared by a worker and its pool if it is created before the pool forks."""

    def __init__(self) -> None:
        self._since = multiprocessing.Value("d", 0.0)  # monotonic seconds; 0: not requested

    def request(self) -> None:
        """Record that the shutdown was requested now; later calls change nothing."""
        if not self._since.value:
            self._since.value = time.monotonic()

    def requested(self) -> bool:
        """Return whether the shutdown was requested."""
        return bool(self._since.value)

    def grace_expired(self, grace_s: float) -> bool:
        """Return whether the shutdown was requested at least ``grace_s`` seconds ago."""
        since = self._since.value
        return bool(since) and time.monotonic() - since >= grace_s
