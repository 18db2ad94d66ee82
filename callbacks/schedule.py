"""When the next delivery attempt is due."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Schedule:
    """The waits between the attempts of one delivery."""

    waits_s: Sequence[float]
    """The wait before each attempt, in seconds; the first one counts from the end of the job."""
    jitter: float = 0.0
    """Share by which waits vary at random; avoids a thundering herd when a receiver recovers."""
    draw: Callable[[], float] = random.random
    """Returns a number from 0 to 1."""

    def next_wait_s(self, attempts: int, retry_after_s: float | None = None) -> float | None:
        """Return the seconds until the next attempt, or ``None`` when there is none left.

        ``Retry-After`` can only make a wait longer, and at most as long as the longest wait of the schedule.

        Args:
            attempts: How many attempts were made.
            retry_after_s: The wait the receiver asked for.
        """
        if attempts >= len(self.waits_s):
            return None
        wait = self.waits_s[attempts] * (1 + self.jitter * (2 * self.draw() - 1))
        if retry_after_s is None:
            return wait
        return max(wait, min(retry_after_s, max(self.waits_s)))
