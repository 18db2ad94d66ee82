from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from stemline.separation.batching import Batcher
from stemline.separation.errors import DeviceError, DeviceOutOfMemory
from stemline.separation.gpu import Gpu


class Device:
    """A device that doubles its input, blocks on the first batch until released, and may be too small."""

    def __init__(self, *, room: int = 1000) -> None:
        self.room = room
        self.sizes: list[int] = []
        self.go = threading.Event()

    def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
        self.go.wait(10)
        self.sizes.append(len(batch))
        if len(batch) > self.room:
            raise DeviceOutOfMemory
        return [batch * 2, batch * 3]


def segments(count: int) -> list[np.ndarray]:
    return [np.full((2, 4, 8), number, np.float32) for number in range(count)]


def run_all(batcher: Batcher, device: Device, count: int) -> list:
    with ThreadPoolExecutor(count) as pool:
        futures = [pool.submit(batcher, segment) for segment in segments(count)]
        while len(batcher._waiting) + len(device.sizes) < count - 1:
            pass
        device.go.set()
        return [future.result(timeout=20) for future in futures]


def test_segments_of_many_threads_share_batches() -> None:
    """What waits while the device is busy runs together, and everybody gets his own answer."""
    device = Device()
    batcher = Batcher(device, 8)
    answers = run_all(batcher, device, 17)
    for number, (twice, thrice) in enumerate(answers):
        assert np.array_equal(np.full((2, 4, 8), 2 * number), twice)
        assert np.array_equal(np.full((2, 4, 8), 3 * number), thrice)
    assert sum(device.sizes) == 17
    assert max(device.sizes) == 8
    assert len(device.sizes) <= 5


def test_out_of_memory_halves_the_batch_and_goes_on() -> None:
    """A batch that does not fit is run again in halves without losing a segment, and the size stays lower."""
    device = Device(room=3)
    batcher = Batcher(device, 16)
    answers = run_all(batcher, device, 17)
    assert [2 * number for number in range(17)] == [int(twice[0, 0, 0]) for twice, _ in answers]
    assert batcher.size in (2, 3)


def test_one_segment_that_does_not_fit_is_an_error() -> None:
    """Where not even one segment fits, its thread gets the error."""
    device = Device(room=0)
    device.go.set()
    with pytest.raises(DeviceOutOfMemory):
        Batcher(device, 4)(segments(1)[0])


def test_a_failing_device_fails_every_segment_of_its_batch() -> None:
    """An error of the device reaches all threads that wait for it; none hangs."""

    def fail(_: np.ndarray) -> list[np.ndarray]:
        raise DeviceError("the card fell off the bus")

    batcher = Batcher(fail, 4)
    with ThreadPoolExecutor(6) as pool:
        futures = [pool.submit(batcher, segment) for segment in segments(6)]
        assert len(futures) == 6
        for future in futures:
            with pytest.raises(DeviceError, match="bus"):
                future.result(timeout=20)


def test_segments_of_different_lengths_never_share_a_batch() -> None:
    """Windows with and without context can be in flight at the same time."""
    device = Device()
    device.go.set()
    batcher = Batcher(device, 8)
    with ThreadPoolExecutor(8) as pool:
        shapes = [(2, 4 + number % 2, 8) for number in range(20)]
        futures = [pool.submit(batcher, np.ones(shape, np.float32)) for shape in shapes]
        assert shapes == [future.result(timeout=20)[0].shape for future in futures]


@pytest.mark.parametrize(("free", "batch"), [(80_000, 16), (8_000, 8), (600, 1), (0, 1)])
def test_the_batch_fits_the_memory(free: int, batch: int) -> None:
    """The first size follows from the free memory and leaves room."""
    assert batch == Gpu("card", free).batch
