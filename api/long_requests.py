"""Requests that take long: they wait for a bucket's store, or read or change many records.

They run in threads of their own and hold no turn of the server, some of each bucket at a time, so that
a bucket whose store is slow, or that changes a hundred thousand jobs, delays its own requests alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request

from stemline.api.http.exchange import ASIDE
from stemline.jobs.errors import BucketBusy

T = TypeVar("T")


@dataclass(slots=True)
class _Line:
    """The requests of one bucket."""

    slots: asyncio.Semaphore
    requests: int = 0
    """Those that run and those that wait."""


@dataclass(slots=True)
class LongRequests:
    """Runs calls that take long.

    Args:
        threads: Calls that run at a time.
        of_bucket: Of these, those of one bucket.
        waiting: Further calls of one bucket that wait; another one is refused.
        most: Calls of all buckets that run or wait, including those whose client is gone.
    """

    threads: int
    of_bucket: int
    waiting: int = 32
    most: int = 512
    _requests: int = field(init=False, default=0)
    _lines: dict[str, _Line] = field(init=False, default_factory=dict)
    _limiter: CapacityLimiter | None = field(init=False, default=None)

    async def run(self, request: Request, bucket: str, call: Callable[[], T]) -> T:
        """Run a call in a thread and return its result.

        Args:
            request: The request, whose turn others get meanwhile.
            bucket: The bucket whose threads it uses.
            call: The call; it has a deadline of its own.

        Raises:
            BucketBusy: Too many calls of the bucket run or wait already.
        """
        line = self._lines.get(bucket) or _Line(asyncio.Semaphore(self.of_bucket))
        if self._requests >= self.most or line.requests >= self.of_bucket + self.waiting:
            raise BucketBusy
        if self._limiter is None:
            self._limiter = CapacityLimiter(self.threads)
        self._lines[bucket] = line
        self._requests += 1
        line.requests += 1
        aside = request.scope.get("state", {}).get(ASIDE, nullcontext)
        try:
            async with aside(), line.slots:
                return await to_thread.run_sync(call, limiter=self._limiter)
        finally:
            self._requests -= 1
            line.requests -= 1
            if not line.requests:
                del self._lines[bucket]


def for_stores() -> LongRequests:
    """Return a runner of requests that wait for buckets' stores."""
    return LongRequests(threads=64, of_bucket=4)


def for_pages() -> LongRequests:
    """Return a runner of requests for large pages, which take much processor time."""
    return LongRequests(threads=4, of_bucket=2, waiting=128)


def for_many_records() -> LongRequests:
    """Return a runner of requests that read or change many records."""
    return LongRequests(threads=8, of_bucket=1, waiting=8)
