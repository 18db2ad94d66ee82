from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from stemline.separation.batching import Array, Batcher, stacked
from stemline.separation.errors import DeviceError, DeviceOutOfMemory
from stemline.testing.processes import eventually


class Device:
    """A device that doubles its input, blocks on the first batch until released, and may be too small."""

    def __init__(self, *, room: int = 1000) -> None:
        self.room = room
        self.sizes: list[int] = []
        self.go = threading.Event()

    def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
        assert self.go.wait(60)
        self.sizes.append(len(batch))
        if len(batch) > self.room:
            raise DeviceOutOfMemory
        return [batch * 2, batch * 3]


def batcher_of(run: Callable[..., Any], size: int, *, wait_s: float = 0.0) -> Batcher[Array, list[Array]]:
    return Batcher(stacked(run), size, wait_s=wait_s, kind=lambda one: one.shape)


def segments(count: int) -> list[np.ndarray]:
    return [np.full((2, 4, 8), number, np.float32) for number in range(count)]


def run_all(batcher: Batcher[Array, list[Array]], device: Device, count: int) -> list:
    with ThreadPoolExecutor(count) as pool:
        futures = [pool.submit(batcher, segment) for segment in segments(count)]
        eventually(lambda: len(batcher._waiting) == count - 1, 180, "the segments wait")
        device.go.set()
        return [future.result(timeout=180) for future in futures]


def test_segments_of_many_threads_share_batches() -> None:
    """What waits while the device is busy runs together, and everybody gets his own answer."""
    device = Device()
    batcher = batcher_of(device, 8)
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
    batcher = batcher_of(device, 16)
    answers = run_all(batcher, device, 17)
    assert [2 * number for number in range(17)] == [int(twice[0, 0, 0]) for twice, _ in answers]
    assert batcher.size in (2, 3)


def test_one_segment_that_does_not_fit_is_an_error() -> None:
    """Where not even one segment fits, its thread gets the error."""
    device = Device(room=0)
    device.go.set()
    with pytest.raises(DeviceOutOfMemory):
        batcher_of(device, 4)(segments(1)[0])


def test_a_failing_device_fails_every_segment_of_its_batch() -> None:
    """An error of the device reaches all threads that wait for it; none hangs."""

    def fail(_: np.ndarray) -> list[np.ndarray]:
        raise DeviceError("the card fell off the bus")

    batcher = batcher_of(fail, 4)
    with ThreadPoolExecutor(6) as pool:
        futures = [pool.submit(batcher, segment) for segment in segments(6)]
        assert len(futures) == 6
        for future in futures:
            with pytest.raises(DeviceError, match="bus"):
                future.result(timeout=180)


def test_segments_of_different_lengths_never_share_a_batch() -> None:
    """Windows with and without context can be in flight at the same time."""
    device = Device()
    device.go.set()
    batcher = batcher_of(device, 8)
    with ThreadPoolExecutor(8) as pool:
        shapes = [(2, 4 + number % 2, 8) for number in range(20)]
        futures = [pool.submit(batcher, np.ones(shape, np.float32)) for shape in shapes]
        assert shapes == [future.result(timeout=180)[0].shape for future in futures]


def test_an_incomplete_batch_waits_and_is_padded() -> None:
    """Segments that arrive within the wait run together, in a batch of the full size."""
    device = Device()
    device.go.set()
    batcher = batcher_of(device, 4, wait_s=2)
    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(batcher, segment) for segment in segments(3)]
        answers = [future.result(timeout=180) for future in futures]
    assert device.sizes == [4]
    assert [int(twice[0, 0, 0]) for twice, _ in answers] == [0, 2, 4]


def test_a_full_batch_does_not_wait() -> None:
    """As soon as a batch is full it runs, however long the wait is."""
    device = Device()
    device.go.set()
    batcher = batcher_of(device, 4, wait_s=3600)
    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(batcher, segment) for segment in segments(4)]
        answers = [future.result(timeout=180) for future in futures]
    assert [int(twice[0, 0, 0]) for twice, _ in answers] == [0, 2, 4, 6]
    assert device.sizes == [4]


def test_threads_are_woken_only_for_something_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """A segment that arrives, and a batch that ends, wake no thread that could only go on waiting."""
    device = Device()
    batcher = batcher_of(device, 8)
    time_left, looks = batcher._time_left, []

    def look() -> float | None:
        looks.append(1)
        return time_left()

    monkeypatch.setattr(batcher, "_time_left", look)
    run_all(batcher, device, 41)
    assert len(looks) < 3 * 41


def test_a_thread_that_runs_a_batch_of_others_is_not_waited_for() -> None:
    """Where the first segment's thread runs those of a higher level, another thread runs the next batch."""
    gates = {number: threading.Event() for number in range(5)}
    order: list[int] = []

    def run(batch: np.ndarray) -> list[np.ndarray]:
        number = int(batch[0, 0, 0, 0])
        order.append(number)
        assert gates[number].wait(60)
        return [batch]

    batcher: Batcher[Array, list[Array]] = Batcher(stacked(run), 1, at_once=2)
    with ThreadPoolExecutor(5) as pool:
        try:
            for number, segment in enumerate(segments(5)):
                pool.submit(batcher, segment, level=2 if number == 4 else 0)
                eventually(lambda n=number: len(order) + len(batcher._waiting) == n + 1, 60, "it is there")
            for gate, following in ((0, 4), (1, 2)):  # 4 by the thread of 2, so 2 by the thread of 3
                gates[gate].set()
                eventually(lambda n=following: order[-1:] == [n], 60, "the next one runs")
        finally:
            for opened in gates.values():
                opened.set()
    assert sorted(order) == [0, 1, 2, 3, 4]


def order_of(levels: list[int]) -> list[float]:
    """Return the values of the segments of these levels in the order in which a busy device ran them."""
    started, go = threading.Event(), threading.Event()
    order: list[float] = []

    def run(batch: np.ndarray) -> list[np.ndarray]:
        started.set()
        go.wait(60)
        order.extend(float(each[0, 0, 0]) for each in batch)
        return [batch]

    batcher = batcher_of(run, 1)
    with ThreadPoolExecutor(len(levels) + 1) as pool:
        futures = [pool.submit(batcher, np.full((2, 4, 8), -1, np.float32))]
        assert started.wait(60)
        for number, level in enumerate(levels):
            futures.append(pool.submit(batcher, np.full((2, 4, 8), number, np.float32), level=level))
            while len(batcher._waiting) <= number:
                pass
        go.set()
        for future in futures:
            future.result(timeout=180)
    return order[1:]


def test_higher_levels_go_first() -> None:
    """Of the segments that wait, those of level 2 run first, then 1, then 0; equals run as they came."""
    assert order_of([0, 0, 1, 2, 1, 2]) == [3, 5, 2, 4, 0, 1]


def test_no_level_waits_for_ever() -> None:
    """A segment of level 0 runs although segments of level 2 never cease: after four batches it is first."""
    gate = threading.Semaphore(0)
    order: list[float] = []

    def run(batch: np.ndarray) -> list[np.ndarray]:
        gate.acquire(timeout=180)
        order.append(float(batch[0, 0, 0, 0]))
        return [batch]

    batcher = batcher_of(run, 1)

    def high() -> None:
        while 0.0 not in order and len(order) < 50:
            batcher(np.full((2, 4, 8), 2, np.float32), level=2)

    with ThreadPoolExecutor(4) as pool:
        busy = [pool.submit(high) for _ in range(3)]
        while len(batcher._waiting) < 2:
            pass
        low = pool.submit(batcher, np.zeros((2, 4, 8), np.float32), level=0)
        while len(batcher._waiting) < 3:
            pass
        for _ in range(60):
            gate.release()
        low.result(timeout=180)
        for future in busy:
            future.result(timeout=180)
    assert order.index(0.0) <= 8
