"""Protocol of what attempts left in buckets."""

from __future__ import annotations

from typing import Protocol

from stemline.jobs.leftover import Leftover


class LeftoverRepository(Protocol):
    """What attempts left in buckets: recorded with the end of an attempt, removed by later sweeps."""

    def reserve(self) -> Leftover | None:
        """Return a leftover that is due, if there is one.

        It is due again a minute after its attempt ended, and after waits that double with each time that it
        is reserved, up to some hours.
        """
        ...

    def drop(self, leftover_id: str, *, removed: bool) -> None:
        """Forget a leftover; repeating the call does nothing.

        Args:
            leftover_id: Its id.
            removed: Whether it was removed, or else given up.
        """
        ...
