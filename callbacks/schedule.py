"""When the next try is due."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Schedule:
    """The waits between tries."""

    waits_s: Sequence[float]
    """Before each try; the first is the wait after the job's end."""
    jitter: float = 0.0
    """Share by which waits vary at random, so that a receiver that has recovered is not stormed."""
    draw: Callable[[], float] = random.random
    """A number from 0 to 1."""

    def next_wait_s(self, tries: int, retry_after_s: float | None = None) -> float | None:
        """Seconds until the next try, ``None`` when there is none left.

        A receiver that names a later time is obeyed, up to the longest wait of the schedule; one that names
        an earlier time does not use its tries up faster.

        Args:
            tries: How many there have been.
            retry_after_s: What the receiver asked for.
        """
        if tries >= len(self.waits_s):
            return None
        wait = self.waits_s[tries] * (1 + self.jitter * (2 * self.draw() - 1))
        if retry_after_s is None:
            return wait
        return max(wait, min(retry_after_s, max(self.waits_s)))
