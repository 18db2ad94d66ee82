"""How many threads of one process the callbacks of a bucket may hold while its receivers are slow."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from stemline.jobs.tenant import Tenant

SLOW_S: Final = 1.0
"""A bucket whose attempts take so long on average is slow, s."""
_WEIGHT: Final = 0.05
"""Of the latest attempt in that average."""
MAX_BUCKETS: Final = 10_000
"""Buckets to remember; beyond that, the one attempted longest ago is forgotten."""


class BucketShares:
    """The threads that each bucket holds; safe to use from several threads.

    A slow bucket may hold as many threads as are still free: one that takes all it can leaves half to the
    others, a second such one a quarter. It does not matter whether the attempts succeed: a receiver that
    answers 200 late, at as many ports or names as its owner likes, holds threads like one that never answers.
    """

    def __init__(self, threads: int) -> None:
        """Share out so many threads."""
        self._free = threads
        self._held: Counter[Tenant] = Counter()
        self._means_s: OrderedDict[Tenant, float] = OrderedDict()
        self._lock = threading.Lock()

    def record(self, bucket: Tenant, duration_s: float) -> None:
        """Note how long an attempt took."""
        with self._lock:
            before = self._means_s.get(bucket, duration_s)
            self._means_s[bucket] = before + _WEIGHT * (duration_s - before)
            self._means_s.move_to_end(bucket)
            if len(self._means_s) > MAX_BUCKETS:
                self._means_s.popitem(last=False)

    @contextmanager
    def thread_for(self, bucket: Tenant) -> Iterator[bool]:
        """Count the current thread for a bucket; yield whether the bucket may have it."""
        with self._lock:
            is_slow = self._means_s.get(bucket, 0.0) >= SLOW_S
            if allowed := not is_slow or self._held[bucket] < self._free:
                self._count(bucket, 1)
        try:
            yield allowed
        finally:
            if allowed:
                with self._lock:
                    self._count(bucket, -1)

    def _count(self, bucket: Tenant, threads: int) -> None:
        self._free -= threads
        self._held[bucket] += threads
        if not self._held[bucket]:
            del self._held[bucket]
