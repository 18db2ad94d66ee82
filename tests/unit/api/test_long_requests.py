"""Calls that take long: how many run and wait, of a bucket and of all."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from stemline.api.long_requests import LongRequests
from stemline.jobs.errors import BucketBusy, NoSuchBatch

REQUEST: Any = SimpleNamespace(scope={})


def test_a_bucket_has_its_own_threads() -> None:
    """Calls of one bucket wait for each other, or are refused; those of another bucket run meanwhile."""

    async def scenario() -> None:
        calls = LongRequests(threads=8, of_bucket=2, waiting=1)
        released, running = threading.Event(), threading.Semaphore(0)

        def slow() -> str:
            running.release()
            assert released.wait(60)
            return "slow"

        asked = [asyncio.create_task(calls.run(REQUEST, "a", slow)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(BucketBusy):
            await calls.run(REQUEST, "a", slow)
        assert "fast" == await calls.run(REQUEST, "b", lambda: "fast")
        assert await asyncio.to_thread(lambda: running.acquire(timeout=60) and running.acquire(timeout=60))
        assert not running.acquire(blocking=False)
        released.set()
        assert ["slow"] * 3 == await asyncio.gather(*asked)
        assert "again" == await calls.run(REQUEST, "a", lambda: "again")

    asyncio.run(scenario())


def test_calls_of_all_buckets_are_bounded() -> None:
    """However many buckets there are, only so many calls run or wait, and errors give their places back."""

    async def scenario() -> None:
        calls = LongRequests(threads=1, of_bucket=1, waiting=8, most=3)
        released = threading.Event()
        asked = [asyncio.create_task(calls.run(REQUEST, name, lambda: released.wait(60))) for name in "abc"]
        await asyncio.sleep(0)
        with pytest.raises(BucketBusy):
            await calls.run(REQUEST, "d", lambda: None)
        released.set()
        await asyncio.gather(*asked)

        def fail() -> None:
            raise NoSuchBatch

        for name in "abcd":
            with pytest.raises(NoSuchBatch):
                await calls.run(REQUEST, name, fail)
        assert not calls._lines

    asyncio.run(scenario())
