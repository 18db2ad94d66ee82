"""Gathers the segments of several threads, and of several songs, into batches for one device."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from stemline.separation.errors import Cancelled, DeviceOutOfMemory
from stemline.separation.interruption import Interruption
from stemline.separation.logs import get_logger

Array = NDArray[np.float32]
Item = TypeVar("Item")
Result = TypeVar("Result")

log = get_logger(__name__)

#: A segment of a higher level goes before those that arrived up to this many batches earlier, per level. The
#: head start is bounded, so that no level waits for ever.
_HEAD_START = 2


@dataclass(slots=True, eq=False)
class _Request(Generic[Item, Result]):
    item: Item
    rank: int
    arrived: float
    interruption: Interruption | None
    changed: threading.Condition
    runs_others: bool = False  # its thread runs a batch, and waits for nothing
    result: Result | None = None
    error: BaseException | None = None

    @property
    def done(self) -> bool:
        return self.result is not None or self.error is not None


class Batcher(Generic[Item, Result]):
    """Runs batches of one segment or of exactly `size`, because a device plans anew for each size.

    A thread that brings a segment runs the next batch where none runs, or where the batch is full and fewer
    than `at_once` run: an incomplete one would only wait for the device. Only threads that have something to
    do are woken: those whose segments are done, and one that may run the next batch.

    Args:
        run: Runs segments in a batch of a size, which is at least their number, and returns the result of
            each; raises DeviceOutOfMemory where the batch does not fit. Where all segments can be
            interrupted, an interruption of the batch is the third argument.
        size: The largest batch, in segments; halved whenever a batch does not fit into the device's memory.
        wait_s: How long the oldest segment waits for others before an incomplete batch runs, s.
        at_once: Batches that run at the same time.
        kind: What segments have to have in common to share a batch.
    """

    def __init__(
        self,
        run: Callable[..., Sequence[Result]],
        size: int,
        *,
        wait_s: float = 0.0,
        at_once: int = 1,
        kind: Callable[[Item], Hashable] = lambda _: None,
    ) -> None:
        self.size = size
        self._run = run
        self._wait_s = wait_s
        self._at_once = at_once
        self._kind = kind
        self._waiting: list[_Request[Item, Result]] = []
        self._lock = threading.Lock()
        self._running = 0
        self._batches = 0

    def __call__(self, item: Item, *, level: int = 0, interruption: Interruption | None = None) -> Result:
        """Return the result of one segment, run in a batch with those of other threads.

        Args:
            item: The segment.
            level: Segments of a higher level go first, within a bound.
            interruption: Takes the segment back while it waits; a batch that runs ends where all of its
                segments are interrupted.

        Raises:
            Cancelled: The segment was interrupted.
            DeviceOutOfMemory: Not even one segment fits.
        """
        rank = self._batches - _HEAD_START * level
        changed = threading.Condition(self._lock)
        request = _Request[Item, Result](item, rank, time.monotonic(), interruption, changed)
        with (interruption or Interruption()).ends(partial(self._wake, request)), self._lock:
            self._waiting.append(request)
            while not request.done:
                if request not in self._waiting:
                    changed.wait()
                elif interruption is not None and interruption.is_set:
                    self._waiting.remove(request)
                    self._wake_one()  # this one may have been woken to run the next batch
                    raise Cancelled
                elif (left := self._time_left()) == 0:
                    request.runs_others = True
                    self._run_next()
                    request.runs_others = False
                else:
                    changed.wait(left)
        if request.error is not None:
            raise request.error
        assert request.result is not None  # noqa: S101  # done and no error
        return request.result

    def _wake(self, request: _Request[Item, Result]) -> None:
        with self._lock:
            request.changed.notify()

    def _wake_one(self) -> None:
        """Let one of those that wait see whether the next batch may run; the lock is held."""
        for request in self._waiting:
            if not request.runs_others:
                request.changed.notify()
                return

    def _time_left(self) -> float | None:
        """Return in how many seconds the next batch may run; None is when something else has changed."""
        if self._running < self._at_once and len(self._waiting) >= self.size:
            return 0.0
        if self._running:
            return None
        return max(0.0, min(each.arrived for each in self._waiting) + self._wait_s - time.monotonic())

    def _run_next(self) -> None:
        """Run the next batch; the lock is held, and released while the device works."""
        limit = self.size
        batch = self._take()
        self._batches += 1
        self._running += 1
        self._wake_one()
        self._lock.release()
        results: Sequence[Result] = ()
        error: BaseException | None = None
        try:
            results = self._run_batch(batch, limit if len(batch) > 1 else 1)
        except BaseException as raised:  # noqa: BLE001  # each thread raises it for its own segment
            error = raised
        finally:
            self._lock.acquire()
            self._running -= 1
        if isinstance(error, DeviceOutOfMemory) and len(batch) > 1:
            self._halve(limit)
            self._waiting[:0] = batch
        else:
            for number, request in enumerate(batch):
                request.error = error
                request.result = None if error else results[number]
                request.changed.notify()
        self._wake_one()

    def _halve(self, failed: int) -> None:
        """Halve the size after a batch of the size `failed`, unless another one has done so."""
        if self.size == failed:
            self.size //= 2
            log.warning("engine.batch_halved", size=self.size)

    def _run_batch(self, batch: Sequence[_Request[Item, Result]], size: int) -> Sequence[Result]:
        """Run a batch, and end it where nobody wants its results any more."""
        items = [each.item for each in batch]
        interruptions = [each.interruption for each in batch if each.interruption is not None]
        if len(interruptions) < len(batch):
            return self._run(items, size)
        whole = Interruption()

        def end() -> None:
            if all(each.is_set for each in interruptions):
                whole.set()

        with ExitStack() as stack:
            for each in interruptions:
                stack.enter_context(each.ends(end))
            return self._run(items, size, whole)

    def _take(self) -> list[_Request[Item, Result]]:
        """Remove the next batch from those that wait: the first by rank, and more of its kind."""
        self._waiting.sort(key=lambda each: each.rank)  # stable: among equals, the oldest is first
        kind = self._kind(self._waiting[0].item)
        batch = [each for each in self._waiting if self._kind(each.item) == kind][: self.size]
        self._waiting = [each for each in self._waiting if each not in batch]
        return batch


def stacked(run: Callable[..., Sequence[Array]]) -> Callable[..., list[list[Array]]]:
    """Return what a `Batcher` runs for a graph: arrays of one shape in one, padded with zeros.

    Args:
        run: Gets the arrays as one, (n, …), and an interruption where there is one; returns the outputs.
    """

    def run_rows(rows: Sequence[Array], size: int, *interruption: Interruption) -> list[list[Array]]:
        batch = rows[0][np.newaxis]
        if size > 1:
            batch = np.zeros((size, *rows[0].shape), np.float32)
            for number, row in enumerate(rows):
                batch[number] = row
        outputs = run(batch, *interruption)
        return [[output[number] for output in outputs] for number in range(len(rows))]

    return run_rows
