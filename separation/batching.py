"""Gathers the segments of several threads, and of several songs, into batches for one device."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import structlog
from numpy.typing import NDArray

from stemline.separation.errors import DeviceOutOfMemory

Array = NDArray[np.float32]
#: Runs a batch: (n, 2, frames, 1,024) to one array of that shape per instrument.
Run = Callable[[Array], Sequence[Array]]

log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class _Request:
    magnitude: Array
    masks: Sequence[Array] | None = None
    error: BaseException | None = None

    @property
    def done(self) -> bool:
        return self.masks is not None or self.error is not None


class Batcher:
    """Runs one batch at a time: the segments that are waiting when the device becomes free.

    Args:
        run: Runs a batch; raises DeviceOutOfMemory where it does not fit.
        size: The largest batch, in segments; halved whenever a batch does not fit into the device's memory.
    """

    def __init__(self, run: Run, size: int) -> None:
        self.size = size
        self._run = run
        self._waiting: deque[_Request] = deque()
        self._queue_lock = threading.Lock()
        self._device_lock = threading.Lock()

    def __call__(self, magnitude: Array) -> Sequence[Array]:
        """Return the masks of one segment (2, frames, 1,024), run in a batch with those of other threads.

        Raises:
            DeviceOutOfMemory: Not even one segment fits.
        """
        request = _Request(magnitude)
        with self._queue_lock:
            self._waiting.append(request)
        while not request.done:
            # The thread that gets the device runs the waiting segments, also those of other threads.
            with self._device_lock:
                if not request.done:
                    self._run_waiting()
        if request.error is not None:
            raise request.error
        assert request.masks is not None  # noqa: S101  # done and no error
        return request.masks

    def _run_waiting(self) -> None:
        with self._queue_lock:
            shape = self._waiting[0].magnitude.shape
            batch: list[_Request] = []
            while self._waiting and len(batch) < self.size and self._waiting[0].magnitude.shape == shape:
                batch.append(self._waiting.popleft())
        try:
            results = self._run(np.stack([request.magnitude for request in batch]))
        except DeviceOutOfMemory as error:
            if len(batch) == 1:
                batch[0].error = error
                return
            self.size = len(batch) // 2
            log.warning("engine.batch_halved", size=self.size)
            with self._queue_lock:
                self._waiting.extendleft(reversed(batch))
        except BaseException as error:  # noqa: BLE001  # each thread raises it for its own segment
            for request in batch:
                request.error = error
        else:
            for number, request in enumerate(batch):
                request.masks = [result[number] for result in results]
