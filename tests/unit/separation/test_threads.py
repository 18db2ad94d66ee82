from __future__ import annotations

import threading
import time

import pytest

from stemline.separation.threads import BackgroundConsumer, Prefetcher
from stemline.testing.processes import eventually


def test_prefetching_keeps_the_order() -> None:
    """The reader sees the items as they came."""
    assert list(range(1000)) == list(Prefetcher(range(1000), depth=3, name="t"))


def test_prefetching_stops_at_its_depth() -> None:
    """With a slow reader no more than `depth` items are queued, besides the one that is read."""
    taken: list[int] = []

    def source():
        for number in range(100):
            taken.append(number)
            yield number

    prefetcher = Prefetcher(source(), depth=3, name="t")
    eventually(lambda: len(taken) == 4, 180, "the items")
    time.sleep(0.2)
    assert len(taken) == 4
    prefetcher.close()


def test_an_error_of_the_source_comes_after_its_items() -> None:
    """What the source raises reaches the reader, after everything before it."""

    def source():
        yield 1
        raise KeyError("gone")

    items = iter(Prefetcher(source(), depth=3, name="t"))
    first = next(items)
    assert first == 1
    with pytest.raises(KeyError, match="gone"):
        next(items)


def test_closing_ends_the_thread() -> None:
    """A reader that leaves early leaves no thread behind."""
    before = set(threading.enumerate())
    prefetcher = Prefetcher(iter(int, 1), depth=2, name="t")
    prefetcher.close()
    assert eventually(lambda: set(threading.enumerate()) <= before, 180, "the end of the thread")


def test_a_background_consumer_keeps_the_order() -> None:
    """The consumer sees the items as they were given, and finish waits for the last."""
    seen: list[int] = []
    consumer = BackgroundConsumer(seen.append, depth=2, name="t")
    for number in range(500):
        consumer.put(number)
    consumer.finish()
    assert list(range(500)) == seen


def test_an_error_of_the_consumer_reaches_the_giver() -> None:
    """A consumer that fails stops the giver at its next item, even while the queue is full."""

    def consume(_: int) -> None:
        raise OSError(28, "No space left on device")

    consumer = BackgroundConsumer(consume, depth=1, name="t")

    def give() -> None:
        for number in range(100):
            consumer.put(number)

    with pytest.raises(OSError, match="No space"):
        give()


def test_an_error_on_the_last_item_is_not_lost() -> None:
    """A consumer that fails on the last item fails finish."""

    def consume(_: int) -> None:
        time.sleep(0.05)
        raise OSError(28, "No space left on device")

    consumer = BackgroundConsumer(consume, depth=4, name="t")
    consumer.put(1)
    with pytest.raises(OSError, match="No space"):
        consumer.finish()
