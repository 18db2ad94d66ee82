"""The CUDA path, on stand-ins for the driver and for ONNX Runtime's CUDA provider."""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from stemline.separation.cuda import Card, first_card
from stemline.separation.errors import DeviceError, DeviceFailed, DeviceOutOfMemory, WeightsCorrupt
from stemline.separation.network import Network
from stemline.separation.onnx_engine import OnnxEngine
from stemline.separation.onnx_runtime import onnx_runtime
from tests.support.cuda import Driver, Sessions, install

NETWORK = Network("2stems", ("vocals", "accompaniment"))
#: What CUDA, cuDNN, cuBLAS and ONNX Runtime say when memory ran out.
FULL = [
    "CUDA failure 2: out of memory ; GPU=0",
    "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0",
    "CUDNN failure 4000: CUDNN_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    "Failed to allocate memory for requested buffer of size 268435456",
    "BFCArena::AllocateRawInternal Available memory of 12 is smaller than requested bytes of 99",
    "std::bad_alloc",
]
#: What they say when the card, or what this process has on it, is beyond use.
SICK = [
    "CUDA failure 700: an illegal memory access was encountered ; GPU=0",
    "CUDA failure 719: unspecified launch failure",
    "CUDA failure 214: uncorrectable ECC error encountered",
    "CUDNN failure 5003: CUDNN_STATUS_EXECUTION_FAILED_CUDART",
    "CUBLAS failure 13: CUBLAS_STATUS_EXECUTION_FAILED",
]


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> Sessions:
    """A card that works, unless the test changes it."""
    stand_in = Sessions()
    install(monkeypatch, stand_in)
    return stand_in


def engine(device: str = "cuda", **options: float) -> OnnxEngine:
    return OnnxEngine(NETWORK, lambda *, polyphase: b"plain" * (not polyphase), device=device, **options)  # type: ignore[arg-type]


def segment(value: float = 1.0) -> np.ndarray:
    return np.full((2, 512, 1024), value, np.float32)


def test_the_driver_names_the_card_and_its_free_memory() -> None:
    """Name and memory are the driver's, also for a slice of a card, and the context is given back."""
    driver = Driver(name="NVIDIA H100 MIG 1g.10gb", free=9 << 30)
    assert first_card("13.0", load=lambda _: driver) == Card("NVIDIA H100 MIG 1g.10gb", 9 << 30, "00" * 16)
    assert driver.calls[-1] == "cuDevicePrimaryCtxRelease_v2"


@pytest.mark.parametrize(
    ("driver", "words"),
    [
        (Driver(version=12_040), "supports CUDA 12.4, and ONNX Runtime was built with CUDA 13.0"),
        (Driver(cards=0), "shows this process no card"),
        (Driver(failing=("cuInit", 35)), "cuInit failed, error 35, the words for 35"),
        (Driver(failing=("cuMemGetInfo_v2", 2)), "cuMemGetInfo_v2 failed"),
    ],
    ids=["old driver", "no card", "no init", "no memory"],
)
def test_a_driver_that_cannot_be_used_says_why(driver: Driver, words: str) -> None:
    """Every call that fails is named with the driver's own words."""
    with pytest.raises(DeviceError, match=words):
        first_card("13.0", load=lambda _: driver)


def test_without_a_driver_the_error_says_so() -> None:
    """On a machine without NVIDIA's driver, the error names it."""
    with pytest.raises(DeviceError, match="the NVIDIA driver is not installed here"):
        first_card("13.0")


@pytest.mark.parametrize(("free", "batch"), [(80 << 30, 16), (8_000 << 20, 8), (600 << 20, 1), (0, 1)])
def test_the_batch_fits_the_memory(free: int, batch: int) -> None:
    """The first size follows from the free memory and leaves room."""
    assert batch == Card("card", free).batch()


def test_loading_runs_both_sizes_and_compares_them_with_the_processor(
    sessions: Sessions, capsys: pytest.CaptureFixture[str]
) -> None:
    """After loading, each CUDA session has run its one shape, TF32 is off, and the log has the difference."""
    loaded = engine()
    (logged,) = [line for line in capsys.readouterr().out.splitlines() if "engine.verified" in line]
    assert "largest_difference" in logged
    assert "0.0" in logged
    assert loaded.device == "cuda (NVIDIA Stand-in)"
    assert sessions.cuda_shapes == [[(1, 2, 512, 1024)], [(16, 2, 512, 1024)]]
    assert [names[0] for names in sessions.opened].count("CPUExecutionProvider") == 1
    assert all(options["use_tf32"] == "0" for options in sessions.options)
    assert os.environ["NVIDIA_TF32_OVERRIDE"] == "0"


def test_wrong_masks_are_an_error(sessions: Sessions) -> None:
    """A card whose masks differ from the processor's is not used, and the difference is named."""
    sessions.offset = 0.01
    with pytest.raises(DeviceError, match=r"something else: it differs .* 1\.0e-02"):
        engine()


@pytest.mark.parametrize("size", [1, 16])
def test_masks_that_are_no_numbers_are_an_error(size: int, sessions: Sessions) -> None:
    """Also where it is one value of the last mask, and in full batches alone."""
    sessions.broken_from = size
    with pytest.raises(DeviceError, match=r"something else: it differs .* inf"):
        engine()


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_a_first_run_that_fails_is_noticed_at_load(device: str, sessions: Sessions) -> None:
    """Where opening works and the first convolution fails, `cuda` is an error and `auto` is the processor."""

    def fail(_: object) -> None:
        raise RuntimeError("CUDNN_STATUS_NOT_INITIALIZED")

    sessions.fail = fail
    if device == "auto":
        assert engine(device).device == "cpu"
    else:
        with pytest.raises(DeviceError, match="CUDNN_STATUS_NOT_INITIALIZED"):
            engine(device)


def test_the_reason_of_a_session_that_cannot_be_opened_is_kept(sessions: Sessions) -> None:
    """The text of the CUDA provider reaches the error; it is the device's fault, not the weights'."""
    sessions.fail_opening = RuntimeError("CUDA failure 35: CUDA driver version is insufficient")
    with pytest.raises(DeviceError, match="CUDA failure 35"):
        engine()


def test_libraries_of_packages_are_loaded_first(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """CUDA and cuDNN of pip are loaded before a session opens; what is missing is in the log."""
    opened_before = list[int]()

    def preload() -> None:
        opened_before.append(len(sessions.opened))
        sys.stdout.write("Failed to load libcudnn.so.9\n")

    monkeypatch.setattr(onnx_runtime(), "preload_dlls", preload)
    engine()
    assert opened_before == [0]
    (said,) = [line for line in capsys.readouterr().out.splitlines() if "libcudnn.so.9" in line]
    assert "cuda.library_not_loaded" in said


@pytest.mark.parametrize("source", ["attribute", "module", "nowhere"])
def test_the_driver_must_support_the_cuda_that_the_build_needs(
    source: str, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The build says its CUDA version itself or in a module; one that does not is tried."""
    install(monkeypatch, sessions, Driver(version=12_040))
    if source == "attribute":
        monkeypatch.setattr(onnx_runtime(), "cuda_version", "13.0", raising=False)
    elif source == "module":
        about = SimpleNamespace(cuda_version="13.0")
        monkeypatch.setattr("onnxruntime.capi.build_and_package_info", about, raising=False)
    if source == "nowhere":
        assert engine().device == "cuda (NVIDIA Stand-in)"
    else:
        with pytest.raises(DeviceError, match=r"supports CUDA 12\.4, .* was built with CUDA 13\.0"):
            engine()


def test_a_provider_that_is_not_loaded_is_an_error(sessions: Sessions) -> None:
    """Where ONNX Runtime would silently use the CPU, the error says what to install."""
    sessions.provider_missing = True
    with pytest.raises(DeviceError, match=r"CUDA or cuDNN is missing; install stemline\[gpu\]"):
        engine()


def test_a_graph_that_is_no_graph_is_the_weights_fault(sessions: Sessions) -> None:
    """An invalid graph is reported as such, on a card too."""
    sessions.fail_opening = type("InvalidGraph", (Exception,), {})("unknown operator")
    with pytest.raises(WeightsCorrupt, match="unknown operator"):
        engine()


def test_a_card_that_others_use_gets_the_batch_that_fits(sessions: Sessions) -> None:
    """Where the first full batch does not fit, smaller ones are tried at load."""

    def fail(batch: np.ndarray) -> None:
        if len(batch) > 4:
            raise RuntimeError("CUDA failure 2: out of memory")

    sessions.fail = fail
    assert engine().device == "cuda (NVIDIA Stand-in)"
    assert [shape[0] for seen in sessions.cuda_shapes for shape in seen] == [1, 4]


@pytest.mark.parametrize("failing", [("", 0), ("cuDevicePrimaryCtxSetFlags_v2", 708)])
def test_a_thread_that_waits_for_the_card_sleeps(failing: tuple[str, int]) -> None:
    """The driver is asked for that; where it is too late to ask, the card is used all the same."""
    driver = Driver(failing=failing)
    assert first_card("13.0", load=lambda _: driver).name == "NVIDIA Stand-in"
    assert driver.calls.count("cuDevicePrimaryCtxSetFlags_v2") == 1


@pytest.mark.parametrize("words", FULL)
def test_a_full_card_halves_the_batch(words: str, sessions: Sessions) -> None:
    """In whatever words memory runs out, batches shrink until they fit, and every segment gets its masks."""
    loaded = engine()

    def fail(batch: np.ndarray) -> None:
        if len(batch) > 4:
            raise RuntimeError(words)

    sessions.fail = fail
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(loaded.masks, [segment(n) for n in range(32)]))
    assert [[mask.shape for mask in masks] for masks in answers] == 32 * [2 * [(2, 512, 1024)]]


@pytest.mark.parametrize("words", FULL)
def test_one_segment_that_does_not_fit_is_said(words: str, sessions: Sessions) -> None:
    """Where not even one segment fits, the error says that memory ran out, so that the job waits."""
    loaded = engine()

    def fail(_: object) -> None:
        raise RuntimeError(words)

    sessions.fail = fail
    with pytest.raises(DeviceOutOfMemory):
        loaded.masks(segment())


@pytest.mark.parametrize("words", SICK)
def test_a_failed_card_is_distinguished_from_a_full_one(words: str, sessions: Sessions) -> None:
    """Any other failure of a run is the card's, with its words."""
    loaded = engine()

    def fail(_: object) -> None:
        raise RuntimeError(words)

    sessions.fail = fail
    with pytest.raises(DeviceFailed, match=words.split(":", maxsplit=1)[0]):
        loaded.masks(segment())


def test_a_session_sees_one_shape_only(sessions: Sessions) -> None:
    """The full session gets full batches and the other one single segments, whatever waits."""
    loaded = engine(batch_wait_s=0.005)
    sessions.seconds = 0.001
    gate = threading.Barrier(7)

    def song(count: int) -> None:
        gate.wait(60)
        for _ in range(count):
            loaded.masks(segment())

    with ThreadPoolExecutor(7) as pool:
        list(pool.map(song, [1, 2, 3, 5, 8, 13, 21]))
    assert sessions.cuda_shapes == [[(1, 2, 512, 1024)], [(16, 2, 512, 1024)]]


def test_songs_share_what_is_in_flight(sessions: Sessions) -> None:
    """The segments in flight of all songs together are two batches."""
    assert engine().in_flight == 32
    assert engine(songs=16).in_flight == 2
    assert engine(songs=100).in_flight == 2


def test_cuda_on_a_build_without_it_names_the_extra(tmp_path: Path) -> None:
    """The CPU build of ONNX Runtime says what to install instead."""
    with pytest.raises(DeviceError, match=r"install stemline\[gpu\] instead"):
        engine()
