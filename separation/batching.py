"""Gathers the segments of several threads, and of several songs, into batches for one device."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stemline.separation.errors import Cancelled, DeviceOutOfMemory
from stemline.separation.interruption import Interruption
from stemline.separation.logs import get_logger

Array = NDArray[np.float32]
#: Runs a batch: (n, 2, frames, 1,024) to one array of that shape per instrument. Where all segments in it can
#: be interrupted, an interruption of the batch is the second argument.
Run = Callable[..., Sequence[Array]]

log = get_logger(__name__)

#: A segment of a higher level goes before those that arrived up to this many batches earlier, per level. The
#: head start is bounded, so that no level waits for ever.
_HEAD_START = 2


@dataclass(slots=True, eq=False)
class _Request:
    magnitude: Array
    rank: int
    arrived: float
    interruption: Interruption | None
    masks: Sequence[Array] | None = None
    error: BaseException | None = None

    @property
    def done(self) -> bool:
        return self.masks is not None or self.error is not None


class Batcher:
    """Runs one batch at a time, of one segment or of exactly `size`.

    An incomplete batch is padded with zeros, because a device plans its convolutions anew for each size.

    Args:
        run: Runs a batch; raises DeviceOutOfMemory where it does not fit.
        size: The largest batch, in segments; halved whenever a batch does not fit into the device's memory.
        wait_s: How long the oldest segment waits for others before an incomplete batch runs, s.
    """

    def __init__(self, run: Run, size: int, *, wait_s: float = 0.0) -> None:
        self.size = size
        self._run = run
        self._wait_s = wait_s
        self._waiting: list[_Request] = []
        self._condition = threading.Condition()
        self._busy = False
        self._batches = 0

    def __call__(
        self, magnitude: Array, *, level: int = 0, interruption: Interruption | None = None
    ) -> Sequence[Array]:
        """Return the masks of one segment (2, frames, 1,024), run in a batch with those of other threads.

        Args:
            magnitude: The segment.
            level: Segments of a higher level go first, within a bound.
            interruption: Takes the segment back while it waits; a batch that runs ends where all of its
                segments are interrupted.

        Raises:
            Cancelled: The segment was interrupted.
            DeviceOutOfMemory: Not even one segment fits.
        """
        with (interruption or Interruption()).ends(self._wake), self._condition:
            rank = self._batches - _HEAD_START * level
            request = _Request(magnitude, rank, time.monotonic(), interruption)
            self._waiting.append(request)
            self._condition.notify_all()
            while not request.done:
                if interruption is not None and interruption.is_set and request in self._waiting:
                    self._waiting.remove(request)
                    raise Cancelled
                if self._busy:
                    self._condition.wait()
                    continue
                # This thread runs the next batch, also if it has only segments of other threads.
                self._busy = True
                try:
                    self._run_next()
                finally:
                    self._busy = False
                    self._condition.notify_all()
        if request.error is not None:
            raise request.error
        assert request.masks is not None  # noqa: S101  # done and no error
        return request.masks

    def _wake(self) -> None:
        with self._condition:
            self._condition.notify_all()

    def _run_next(self) -> None:
        """Run the next batch; the lock is held, and released while the device works."""
        self._wait_until_full()
        batch = self._take()
        self._batches += 1
        self._condition.release()
        try:
            masks = self._run_batch(batch)
            error: BaseException | None = None
        except BaseException as raised:  # noqa: BLE001  # each thread raises it for its own segment
            error = raised
        finally:
            self._condition.acquire()
        if isinstance(error, DeviceOutOfMemory) and self.size > 1 and len(batch) > 1:
            self.size //= 2
            log.warning("engine.batch_halved", size=self.size)
            self._waiting[:0] = batch
            return
        for number, request in enumerate(batch):
            request.error = error
            request.masks = None if error else [mask[number] for mask in masks]

    def _run_batch(self, batch: Sequence[_Request]) -> Sequence[Array]:
        """Run a batch, and end it where nobody wants its results any more."""
        interruptions = [each.interruption for each in batch if each.interruption is not None]
        if len(interruptions) < len(batch):
            return self._run(self._padded(batch))
        whole = Interruption()

        def end() -> None:
            if all(each.is_set for each in interruptions):
                whole.set()

        with ExitStack() as stack:
            for each in interruptions:
                stack.enter_context(each.ends(end))
            return self._run(self._padded(batch), whole)

    def _wait_until_full(self) -> None:
        deadline = min(each.arrived for each in self._waiting) + self._wait_s
        while len(self._waiting) < self.size and (left := deadline - time.monotonic()) > 0:
            self._condition.wait(left)

    def _take(self) -> list[_Request]:
        """Remove the next batch from those that wait: the first by rank, and more of its shape."""
        self._waiting.sort(key=lambda each: each.rank)  # stable: among equals, the oldest is first
        shape = self._waiting[0].magnitude.shape
        batch = [each for each in self._waiting if each.magnitude.shape == shape][: self.size]
        self._waiting = [each for each in self._waiting if each not in batch]
        return batch

    def _padded(self, batch: Sequence[_Request]) -> Array:
        first = batch[0].magnitude
        if len(batch) == 1:
            return first[np.newaxis]
        result = np.zeros((self.size, *first.shape), np.float32)
        for number, request in enumerate(batch):
            result[number] = request.magnitude
        return result
