"""Request rate limits: one token bucket per credential, in this process.

The limit protects this process, so it is kept here and not in the store: it costs no round trip and works
while the store is slow. With several API processes behind a load balancer it applies to each of them.
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
    """Limit of requests per second and caller, with bursts."""

    def __init__(self, rate_per_s: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate_per_s
        self._burst = max(burst, 1)
        self._clock = clock
        self._callers: OrderedDict[str, _Bucket] = OrderedDict()

    def admit(self, caller: str, rate_per_s: float | None = None, burst: int | None = None) -> None:
        """Count one request of a caller.

        Args:
            caller: Who sent it.
            rate_per_s: Limit of this caller; by default the common one, 0 for none.
            burst: Requests above the rate of this caller; by default the common number.

        Raises:
            RateLimited: The caller is over its limit; ``retry_after_s`` says when the next one passes.
        """
        rate = self._rate if rate_per_s is None else rate_per_s
        burst = burst or self._burst
        if not rate:
            return
        now = self._clock()
        bucket = self._callers.get(caller)
        if bucket is None:
            bucket = self._callers[caller] = _Bucket(float(burst), now)
            if len(self._callers) > MAX_CALLERS:
                self._callers.popitem(last=False)
        else:
            self._callers.move_to_end(caller)
        bucket.tokens = min(burst, bucket.tokens + (now - bucket.at) * rate)
        bucket.at = now
        if bucket.tokens < 1:
            raise RateLimited(retry_after_s=(1 - bucket.tokens) / rate)
        bucket.tokens -= 1
