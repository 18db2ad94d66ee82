"""Bounded queues between threads: a prefetching iterator, and a consumer in the background.

Both hold a fixed number of items, so that the slower side sets the pace and memory stays constant.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

#: How often a blocked thread checks whether it was closed, seconds.
_POLL_S = 0.1


class Prefetcher(Generic[T]):
    """Iterates over `items` in a thread, at most `depth` items ahead of its reader.

    An exception of `items` is raised in the reader, after the items before it.
    """

    def __init__(self, items: Iterable[T], *, depth: int, name: str) -> None:
        self._queue: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(depth)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._fill, args=(items,), name=name, daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        while True:
            item, error = self._queue.get()
            if error is not None:
                self._thread.join()
                if isinstance(error, _End):
                    return
                raise error
            yield item  # type: ignore[misc]  # without an error there is an item

    def close(self) -> None:
        """Stop iterating and wait for the thread."""
        self._stop.set()
        self._thread.join()

    def _fill(self, items: Iterable[T]) -> None:
        try:
            for item in items:
                if not self._put((item, None)):
                    return
        except BaseException as error:  # noqa: BLE001  # it is raised in the reader's thread
            self._put((None, error))
        else:
            self._put((None, _End()))

    def _put(self, entry: tuple[T | None, BaseException | None]) -> bool:
        while not self._stop.is_set():
            try:
                self._queue.put(entry, timeout=_POLL_S)
            except queue.Full:
                continue
            return True
        return False


class BackgroundConsumer(Generic[T]):
    """Calls `consume` for each item in a thread, at most `depth` items behind the producer.

    An exception of `consume` is raised in the producer, by the next `put` or by `finish`.
    """

    def __init__(self, consume: Callable[[T], None], *, depth: int, name: str) -> None:
        self._consume = consume
        self._queue: queue.Queue[tuple[T] | None] = queue.Queue(depth)
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._drain, name=name, daemon=True)
        self._thread.start()

    def put(self, item: T) -> None:
        """Queue one item; block while the queue is full."""
        self._enqueue((item,))

    def finish(self) -> None:
        """Wait until every item is consumed."""
        self._enqueue(None)
        self._thread.join()
        self._check()

    def close(self) -> None:
        """Discard the queued items and wait for the thread."""
        self._stop.set()
        self._thread.join()

    def _enqueue(self, entry: tuple[T] | None) -> None:
        while True:
            self._check()
            try:
                self._queue.put(entry, timeout=_POLL_S)
            except queue.Full:
                continue
            return

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _drain(self) -> None:
        try:
            while not self._stop.is_set():
                try:
                    entry = self._queue.get(timeout=_POLL_S)
                except queue.Empty:
                    continue
                if entry is None:
                    return
                self._consume(entry[0])
        except BaseException as error:  # noqa: BLE001  # it is raised in the producer's thread
            self._error = error


class _End(Exception):  # never raised
    """Marks the end of an iteration in the queue."""
