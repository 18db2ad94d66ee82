"""From samples to stems on a stand-in card: batches, the outputs asked for, and the way back to the host."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from stemline.separation import cuda
from stemline.separation.errors import DeviceError, DeviceFailed, DeviceOutOfMemory
from stemline.separation.extension import Extension
from stemline.separation.network import SEGMENT_FRAMES, Network
from stemline.separation.onnx_engine import OnnxEngine
from stemline.separation.separator import Separator
from stemline.separation.stft import span
from stemline.testing.processes import eventually
from tests.support.cuda import Driver, Sessions, install

NETWORK = Network("2stems", ("vocals", "accompaniment"))
SHAPE = (span(SEGMENT_FRAMES), 2)


@pytest.fixture
def driver() -> Driver:
    """A card with room for batches of two segments."""
    return Driver(free=5 << 30)


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch, driver: Driver) -> Sessions:
    """A card that works, unless the test changes it."""
    stand_in = Sessions()
    install(monkeypatch, stand_in, driver)
    return stand_in


def engine(device: str = "cuda", **options: float) -> OnnxEngine:
    return OnnxEngine(
        NETWORK,
        lambda *, polyphase: b"masks",
        samples_graph=lambda: b"samples",
        device=device,
        **options,  # type: ignore[arg-type]
    )


def segment(value: float) -> np.ndarray:
    return np.full(SHAPE, value, np.float32).T


def test_the_transform_is_on_the_device_where_the_card_runs_it(sessions: Sessions) -> None:
    """After loading, each CUDA session has run its one shape; the processor's graph was the reference."""
    loaded = engine()
    assert (loaded.device, loaded.transform) == ("cuda (NVIDIA Stand-in)", "device")
    assert sessions.cuda_shapes == [[(1, *SHAPE)], [(2, *SHAPE)]]
    assert len(sessions.opened) == 3


def test_the_masks_are_opened_when_they_are_asked_for(sessions: Sessions) -> None:
    """What needs masks, as context and the Wiener filter do, opens their graph, once."""
    loaded = engine()
    magnitude = np.ones((2, SEGMENT_FRAMES, 1024), np.float32)
    for _ in range(2):
        assert [mask.shape for mask in loaded.masks(magnitude)] == 2 * [magnitude.shape]
    assert len(sessions.opened) == 6
    used = [Separator(loaded, **options)._transforming for options in ({}, {"context": 64}, {"refine": True})]
    assert [each is not None for each in used] == [True, False, False]


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_a_card_that_computes_something_else_leaves_the_transform_to_the_host(
    device: str, sessions: Sessions, capsys: pytest.CaptureFixture[str]
) -> None:
    """The graph of samples fails, that of the masks does not: the card is used, and the log says why."""
    runs = sessions.fail

    def fail(batch: np.ndarray) -> None:
        if batch.shape[1:] == SHAPE:
            raise RuntimeError("CUDNN_STATUS_NOT_SUPPORTED for this product")
        runs(batch)

    sessions.fail = fail
    loaded = engine(device)
    assert (loaded.device, loaded.transform) == ("cuda (NVIDIA Stand-in)", "host")
    assert Separator(loaded)._transforming is None
    with pytest.raises(DeviceError, match="no graph from samples to stems"):
        loaded.stems(segment(1), ["vocals"], Extension.AVERAGE)


def test_a_wrong_sample_is_noticed_at_load(sessions: Sessions) -> None:
    """Stems that differ from the processor's are not used; nor are such masks."""
    sessions.offset = 0.1
    with pytest.raises(DeviceError, match="computes something else"):
        engine()


@pytest.mark.parametrize("size", [1, 2])
def test_samples_that_are_no_numbers_are_noticed_at_load(
    size: int, sessions: Sessions, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where it is one sample of the last stem, and in full batches alone; masks are tried next."""
    sessions.broken_from = size
    with pytest.raises(DeviceError, match=r"something else: it differs .* inf"):
        engine()
    assert "engine.transform_on_host" in capsys.readouterr().out


def test_only_the_stems_that_are_asked_for_are_computed(sessions: Sessions) -> None:
    """A run fetches what its segments need, and each of them gets its own."""
    loaded = engine()
    sessions.fetched.clear()
    (vocals,) = loaded.stems(segment(0.5), ["vocals"], Extension.UPPER)
    assert sessions.fetched == [("vocals/upper",)]
    assert np.array_equal(vocals, segment(0.25))
    assert vocals.T.flags.c_contiguous
    both = loaded.stems(segment(1), ["accompaniment", "vocals"], Extension.ZEROS)
    assert sessions.fetched[1:] == [("accompaniment/zeros", "vocals/zeros")]
    assert [np.array_equal(stem, segment(0.5)) for stem in both] == [True, True]


def test_segments_of_many_songs_get_their_own_stems(sessions: Sessions) -> None:
    """Full batches and single ones, two at a time, give everybody what is his."""
    loaded = engine()
    sessions.seconds = 0.001

    def run(number: int) -> bool:
        name = NETWORK.instruments[number % 2]
        (stem,) = loaded.stems(segment(number), [name], Extension.AVERAGE)
        return np.array_equal(stem, segment(number / 2))

    with ThreadPoolExecutor(5) as pool:
        assert all(pool.map(run, range(11)))
    assert sessions.cuda_shapes == [[(1, *SHAPE)], [(2, *SHAPE)]]


def test_a_third_batch_is_ready_while_two_are_on_the_card(sessions: Sessions) -> None:
    """No more than two run: copies of one hide behind the other, and their memory is all that is counted."""
    loaded, go = engine(), threading.Event()
    inside, most = list[int](), list[int]()

    def work(batch: np.ndarray) -> None:
        inside.append(len(batch))
        most.append(len(inside))
        go.wait(60)
        inside.pop()

    sessions.fail = work
    assert loaded._samples is not None
    batcher = loaded._samples._batcher
    with ThreadPoolExecutor(8) as pool:
        done = [pool.submit(loaded.stems, segment(n), ["vocals"], Extension.AVERAGE) for n in range(8)]
        try:
            eventually(lambda: batcher._running == 3 and len(inside) == 2, 60, "three batches")
        finally:
            go.set()
        assert [float(each.result(60)[0][0, 0]) for each in done] == [n / 2 for n in range(8)]
    assert max(most) == 2


def test_a_segment_waits_for_others_as_long_as_it_may(sessions: Sessions) -> None:
    """Two that come one after the other within the wait run in one batch."""
    loaded = engine(batch_wait_s=30)
    sessions.fetched.clear()
    with ThreadPoolExecutor(2) as pool:
        for each in [pool.submit(loaded.stems, segment(1), ["vocals"], Extension.AVERAGE) for _ in "ab"]:
            each.result(60)
    assert len(sessions.fetched) == 1


def test_segments_of_a_higher_level_go_first(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    """The level reaches the queue of the card."""
    sessions, go, taken = Sessions(), threading.Event(), list[float]()
    install(monkeypatch, sessions, Driver(free=1 << 30))  # one segment at a time
    loaded = engine()

    def wait(_: np.ndarray) -> None:
        go.wait(60)

    sessions.fail = wait
    assert loaded._samples is not None
    batcher = loaded._samples._batcher
    take = batcher._take

    def note() -> list[Any]:
        batch = take()
        taken.extend(float(each.item.samples.flat[0]) for each in batch)
        return batch

    monkeypatch.setattr(batcher, "_take", note)
    with ThreadPoolExecutor(7) as pool:
        try:
            for number in range(7):
                level = 2 if number == 6 else 0
                pool.submit(loaded.stems, segment(number), ["vocals"], Extension.AVERAGE, level=level)
                eventually(
                    lambda n=number: batcher._batches + len(batcher._waiting) == n + 1, 60, "the segment"
                )
        finally:
            go.set()
    assert taken.index(6) < taken.index(4)


def test_a_card_that_others_use_gets_the_batch_that_fits(sessions: Sessions) -> None:
    """Where the first full batch does not fit, smaller ones are tried at load."""

    def fail(batch: np.ndarray) -> None:
        if len(batch) > 1:
            raise RuntimeError("CUDA failure 2: out of memory")

    sessions.fail = fail
    loaded = engine()
    assert loaded.transform == "device"
    (stem,) = loaded.stems(segment(1), ["vocals"], Extension.AVERAGE)
    assert np.array_equal(stem, segment(0.5))


def test_a_full_card_halves_the_batch(sessions: Sessions) -> None:
    """Batches that do not fit shrink, and no segment is lost; one that does not fit is an error."""
    loaded = engine()

    def fail(batch: np.ndarray) -> None:
        if len(batch) > 1:
            raise RuntimeError("CUDA failure 2: out of memory")

    sessions.fail = fail
    with ThreadPoolExecutor(4) as pool:
        stems = list(pool.map(lambda n: loaded.stems(segment(n), ["vocals"], Extension.AVERAGE)[0], range(4)))
    assert [float(stem[0, 0]) for stem in stems] == [0, 0.5, 1, 1.5]

    def fail_all(_: np.ndarray) -> None:
        raise RuntimeError("CUDA failure 2: out of memory")

    sessions.fail = fail_all
    with pytest.raises(DeviceOutOfMemory):
        loaded.stems(segment(1), ["vocals"], Extension.AVERAGE)


def test_a_failed_card_is_said(sessions: Sessions) -> None:
    """Any other failure of a run is the card's, with its words."""
    loaded = engine()

    def fail(_: np.ndarray) -> None:
        raise RuntimeError("CUDA failure 700: an illegal memory access was encountered")

    sessions.fail = fail
    with pytest.raises(DeviceFailed, match="CUDA failure 700"):
        loaded.stems(segment(1), ["vocals"], Extension.AVERAGE)


def test_two_batches_share_half_of_the_cards_memory(sessions: Sessions) -> None:
    """What a segment takes is counted for both batches that are in flight, and so is what songs share."""
    assert cuda.Card("card", 80 << 30).batch(500 << 20, at_once=2) == 16
    assert cuda.Card("card", 8000 << 20).batch(500 << 20, at_once=2) == 4
    assert engine().in_flight == 6
    assert engine(songs=4).in_flight == 2


def test_the_hosts_memory_is_locked_while_it_is_used(driver: Driver, sessions: Sessions) -> None:
    """What the card copies from and to is registered with the driver, and let go of before it is freed."""
    array = cuda.page_locked((2, 3))
    assert driver.calls.count("cuMemHostRegister_v2") == 1
    del array
    assert driver.calls.count("cuMemHostUnregister") == 1
    assert driver.calls[-2:] == ["cuCtxPopCurrent_v2", "cuDevicePrimaryCtxRelease_v2"]


def test_all_that_the_card_copies_is_in_locked_memory(driver: Driver, sessions: Sessions) -> None:
    """The memory of an output is locked when it is first asked for, and stays so."""
    loaded = engine()
    locked = driver.calls.count("cuMemHostRegister_v2")
    for _ in range(6):  # each of the three batches in turn
        loaded.stems(segment(1), ["vocals"], Extension.UPPER)
    assert 1 <= driver.calls.count("cuMemHostRegister_v2") - locked <= 3


def test_memory_that_cannot_be_locked_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit of locked memory makes copies slower, and nothing else."""
    monkeypatch.setattr(
        "stemline.separation.cuda.ctypes.CDLL", lambda _: Driver(failing=("cuMemHostRegister_v2", 2))
    )
    assert not cuda.page_locked((2, 3)).any()
