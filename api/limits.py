"""How often a credential may call: a token bucket each, in this process.

In the process and not in the store, because it protects the process: it costs no round trip and still works
when the store is slow. With several API processes behind a balancer the limit holds for each of them.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from stemline.jobs.errors import RateLimited

MAX_CALLERS = 10_000


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class RateLimit:
    """Requests per second and caller, with room for bursts."""

    def __init__(self, rate_per_s: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate_per_s
        self._burst = max(burst, 1)
        self._clock = clock
        self._callers: OrderedDict[str, _Bucket] = OrderedDict()

    def admit(self, caller: str) -> None:
        """Count one request.

        Raises:
            RateLimited: too many; says after how many seconds the next one is let through.
        """
        if not self._rate:
            return
        now = self._clock()
        bucket = self._callers.get(caller)
        if bucket is None:
            bucket = self._callers[caller] = _Bucket(float(self._burst), now)
            if len(self._callers) > MAX_CALLERS:
                self._callers.popitem(last=False)
        else:
            self._callers.move_to_end(caller)
        bucket.tokens = min(self._burst, bucket.tokens + (now - bucket.at) * self._rate)
        bucket.at = now
        if bucket.tokens < 1:
            raise RateLimited(retry_after_s=(1 - bucket.tokens) / self._rate)
        bucket.tokens -= 1
