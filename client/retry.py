"""When a call is sent again, and after how long."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import httpx

from stemline.client.call import Call
from stemline.client.errors import ApiError, ConnectionFailed, SlowDown

_LONGEST_S: Final = 20.0
"""Longest pause, unless the service asks for a longer one."""


@dataclass(frozen=True, slots=True)
class Retry:
    """How long and how often a client tries."""

    budget_s: float = 60.0
    """Time after which no further try begins."""
    first_s: float = 0.2
    """Pause after the first try; each further pause is twice as long, less a random part of it."""
    clock: Callable[[], float] = time.monotonic

    def start(self, call: Call[Any], within_s: float | None = None) -> Tries:
        """Begin the tries of a call, all of them within so many seconds."""
        budget_s = self.budget_s if within_s is None else min(self.budget_s, within_s)
        return Tries(self, call, self.clock() + budget_s)


@dataclass(slots=True)
class Tries:
    """The tries of one call."""

    policy: Retry
    call: Call[Any]
    deadline: float
    count: int = 0

    def pause(self, error: ApiError | ConnectionFailed) -> float:
        """Return how long to wait before the next try, s.

        Args:
            error: How the last try ended; its cause is the fault of the connection, if that was the reason.

        Raises:
            ApiError: No try is left, or another one would end in the same way.
            ConnectionFailed: The same.
        """
        if not self._may_help(error):
            raise error
        self.count += 1
        longest: float = min(_LONGEST_S, self.policy.first_s * 2 ** (self.count - 1))
        wait = longest * random.uniform(0.5, 1)  # noqa: S311 - spreads clients, hides nothing
        if isinstance(error, ApiError) and error.retry_after_s is not None:
            wait = max(wait, error.retry_after_s)
        if self.policy.clock() + wait > self.deadline:
            raise error
        return wait

    def _may_help(self, error: ApiError | ConnectionFailed) -> bool:
        if isinstance(error, SlowDown):
            return True
        if isinstance(error, ApiError):
            return error.status >= 500 and self.call.repeatable
        cause = error.__cause__
        was_never_sent = isinstance(cause, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
        return was_never_sent or (isinstance(cause, httpx.HTTPError) and self.call.repeatable)
