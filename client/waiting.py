"""How often a job is looked at while it is waited for."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stemline.client.call import LONGEST_WAIT_S
from stemline.client.errors import WaitTimedOut
from stemline.client.job import Job

if TYPE_CHECKING:
    from stemline.client.batches import Batch

_FIRST_S: Final = 0.1
_GROWTH: Final = 1.3
_LONGEST_S: Final = 2.0
_GRACE_S: Final = 2.0
"""An answer may arrive so much later than the service was asked for it."""


@dataclass(slots=True)
class Waiting:
    """One wait. A service that holds its answer is asked again at once, another one after growing pauses."""

    timeout_s: float | None = None
    clock: Callable[[], float] = time.monotonic
    _began: float = 0.0
    _asked: float | None = None
    """When the service was last asked to hold its answer; None while it was not."""
    _pause_s: float = _FIRST_S

    def __post_init__(self) -> None:
        """Note when it begins."""
        self._began = self.clock()

    def next_hold_s(self) -> float:
        """Return for how long the next request asks the service to hold its answer."""
        self._asked = self.clock()
        return LONGEST_WAIT_S if self.timeout_s is None else max(0.0, min(LONGEST_WAIT_S, self._left()))

    def within_s(self) -> float | None:
        """Return how long the next request may take: some more than its answer is held."""
        return None if self.timeout_s is None else max(0.0, self._left()) + _GRACE_S

    def pause(self, job: Job | Batch) -> float:
        """Return how long to wait before the next request, s.

        Raises:
            WaitTimedOut: The time is over.
        """
        if self.timeout_s is not None and self._left() <= 0:
            raise WaitTimedOut(job, self.timeout_s)
        if self._asked is not None and self.clock() - self._asked > 1:  # it held the answer
            return 0.0
        self._pause_s = min(_LONGEST_S, self._pause_s * _GROWTH)
        return self._pause_s if self.timeout_s is None else max(0.0, min(self._pause_s, self._left()))

    def _left(self) -> float:
        return self._began + (self.timeout_s or 0) - self.clock()
