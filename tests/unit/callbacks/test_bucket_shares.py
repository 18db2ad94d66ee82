"""A bucket with slow receivers leaves threads to the others."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from stemline.callbacks.bucket_shares import MAX_BUCKETS, SLOW_S, BucketShares
from stemline.jobs.tenant import Tenant

SLOW, OTHER, FAST = (Tenant(f"{name}-1250000000", "ap-chongqing") for name in ("slow", "other", "fast"))


def granted(shares: BucketShares, *buckets: Tenant) -> list[int]:
    """Return how many of many threads each bucket gets, if they ask one after the other and keep them."""
    with ExitStack() as stack:
        return [sum(stack.enter_context(shares.thread_for(bucket)) for _ in range(100)) for bucket in buckets]


@pytest.fixture
def shares() -> BucketShares:
    shares = BucketShares(16)
    shares.record(SLOW, 9.9)
    shares.record(OTHER, 9.9)
    shares.record(FAST, 0.1)
    return shares


def test_slow_buckets_leave_half(shares: BucketShares) -> None:
    """Of sixteen threads a slow bucket gets eight, the next one four; they are free again afterwards."""
    assert [8] == granted(shares, SLOW)
    assert [8, 4] == granted(shares, SLOW, OTHER)
    assert [8] == granted(shares, OTHER)


def test_fast_and_new_buckets_are_not_limited(shares: BucketShares) -> None:
    """A burst of quick callbacks waits for no share, and a bucket that was not tried yet is no slow one."""
    assert [100] == granted(shares, FAST)
    assert [100] == granted(shares, Tenant("new-1250000000", "ap-chongqing"))


@pytest.mark.parametrize("threads", [1, 2])
def test_a_slow_bucket_is_never_stopped(threads: int) -> None:
    """A worker with one thread still sends its callbacks."""
    shares = BucketShares(threads)
    shares.record(SLOW, 9.9)
    assert [1] == granted(shares, SLOW)


def test_quick_attempts_between_slow_ones_hide_nothing(shares: BucketShares) -> None:
    """One of eight attempts that takes all its time makes a bucket slow; quick ones alone end that."""
    for _ in range(20):
        shares.record(FAST, 9.9)
        for _ in range(7):
            shares.record(FAST, 0.001)
    assert [8] == granted(shares, FAST)
    for _ in range(40):
        shares.record(FAST, 0.001)
    assert [100] == granted(shares, FAST)


def test_memory_is_bounded(shares: BucketShares) -> None:
    """With too many buckets, the one attempted longest ago is forgotten."""
    for number in range(MAX_BUCKETS - 2):
        shares.record(Tenant(f"b{number}-1250000000", "ap-chongqing"), SLOW_S)
    assert [100, 8] == [granted(shares, SLOW)[0], granted(shares, OTHER)[0]]
