"""Stand-ins for a card: NVIDIA's driver library, and ONNX Runtime with a CUDA provider."""

from __future__ import annotations

import ctypes
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from stemline.separation.onnx_runtime import onnx_runtime

if TYPE_CHECKING:
    import pytest


class Driver:
    """libcuda with one card; `failing` names a call and the error code that it returns."""

    def __init__(
        self,
        *,
        name: str = "NVIDIA Stand-in",
        free: int = 80 << 30,
        version: int = 13_000,
        cards: int = 1,
        failing: tuple[str, int] = ("", 0),
    ) -> None:
        self.calls: list[str] = []
        self._name = name.encode()
        self._free = free
        self._version = version
        self._cards = cards
        self._failing = failing

    def __getattr__(self, call: str) -> Callable[..., int]:
        def run(*arguments: Any) -> int:
            self.calls.append(call)
            if call == self._failing[0]:
                return self._failing[1]
            match call:
                case "cuDriverGetVersion":
                    arguments[0]._obj.value = self._version
                case "cuDeviceGetCount":
                    arguments[0]._obj.value = self._cards
                case "cuDeviceGetName":
                    arguments[0].value = self._name
                case "cuMemGetInfo_v2":
                    arguments[0]._obj.value = self._free
                    arguments[1]._obj.value = 2 * self._free
                case "cuGetErrorString":
                    arguments[1]._obj.value = f"the words for {arguments[0]}".encode()
            return 0

        return run


class Sessions:
    """Replaces ONNX Runtime's session: computes even masks, counts shapes, and fails as it is asked to.

    Attributes:
        shapes: The batches of each CUDA session, in the order of the runs.
        opened: The providers of each session.
        fail_opening: Raised when a CUDA session is opened.
        fail: Called with each batch on CUDA; may raise.
        provider_missing: Whether CUDA sessions run on the CPU, as ONNX Runtime's do without libraries.
        offset: Added to the masks of CUDA, to be noticed.
        broken_from: Batches of so many segments have no numbers in the last of their outputs on CUDA.
        seconds: How long a batch takes on CUDA.
        busy: From when to when the card computed each batch, of `time.perf_counter`.
        cost_s: Processor time that the stand-in itself took for stems, s.
        fetched: Names of the outputs of each run of a graph from samples to stems.
    """

    def __init__(self, instruments: int = 2) -> None:
        self.shapes: list[list[tuple[int, ...]]] = []
        self.opened: list[list[str]] = []
        self.options: list[dict[str, str]] = []
        self.fail_opening: Exception | None = None
        self.fail: Callable[[Any], None] = lambda _: None
        self.provider_missing = False
        self.offset = 0.0
        self.broken_from = 1 << 30
        self.seconds = 0.0
        self.busy: list[tuple[float, float]] = []
        self.cost_s = 0.0
        self.card = threading.Lock()
        self.fetched: list[tuple[str, ...]] = []
        self._instruments = instruments

    def __call__(
        self, _graph: object, _options: object = None, *, providers: list[Any], enable_fallback: int
    ) -> Any:
        assert enable_fallback == 0
        names = [each if isinstance(each, str) else each[0] for each in providers]
        on_cuda = names[0] == "CUDAExecutionProvider"
        if on_cuda and self.fail_opening is not None:
            raise self.fail_opening
        self.opened.append(names)
        self.options += [each[1] for each in providers if not isinstance(each, str)]
        return _Session(self, names[1:] if on_cuda and self.provider_missing else names)

    @property
    def cuda_shapes(self) -> list[list[tuple[int, ...]]]:
        """Return the shapes that each CUDA session saw, without repetitions in a row."""
        return [
            [shape for n, shape in enumerate(seen) if n == 0 or seen[n - 1] != shape] for seen in self.shapes
        ]


class _Session:
    def __init__(self, owner: Sessions, providers: list[str]) -> None:
        self._owner = owner
        self._providers = providers
        self._shapes: list[tuple[int, ...]] = []
        if providers[0] != "CPUExecutionProvider":
            owner.shapes.append(self._shapes)

    def get_providers(self) -> list[str]:
        return self._providers

    def get_inputs(self) -> list[Any]:
        return [SimpleNamespace(name="input")]

    def get_outputs(self) -> list[Any]:
        return [SimpleNamespace(name=f"mask {number}") for number in range(self._owner._instruments)]

    def run(self, _outputs: None, inputs: dict[str, np.ndarray]) -> Sequence[np.ndarray]:
        (batch,) = inputs.values()
        share = self._computed(batch)
        masks = [np.full_like(batch, share) for _ in range(self._owner._instruments)]
        self._break(batch, masks)
        return masks

    def io_binding(self) -> _Binding:
        return _Binding()

    def run_with_iobinding(self, binding: _Binding, options: Any) -> None:
        assert options.only_execute_path_to_fetches
        share = self._computed(binding.input)
        self._owner.fetched.append(tuple(binding.outputs))
        began = time.thread_time()
        for output in binding.outputs.values():
            np.multiply(binding.input, np.float32(share), out=output)
        self._break(binding.input, list(binding.outputs.values()))
        with self._owner.card:
            self._owner.cost_s += time.thread_time() - began

    def _break(self, batch: np.ndarray, outputs: Sequence[np.ndarray]) -> None:
        if self._providers[0] != "CPUExecutionProvider" and len(batch) >= self._owner.broken_from:
            outputs[-1][-1, -1, -1] = np.nan

    def _computed(self, batch: np.ndarray) -> float:
        """Take a card's time for a batch, and return what each stem has of it."""
        share = 1 / self._owner._instruments
        if self._providers[0] == "CPUExecutionProvider":
            return share
        self._owner.fail(batch)
        self._shapes.append(batch.shape)
        with self._owner.card:  # which computes one batch at a time
            began = time.perf_counter()
            time.sleep(self._owner.seconds)
            self._owner.busy.append((began, time.perf_counter()))
        return share + self._owner.offset


class _Binding:
    """Where a run's input and outputs are."""

    def __init__(self) -> None:
        self.outputs: dict[str, np.ndarray] = {}

    def bind_cpu_input(self, _name: str, array: np.ndarray) -> None:
        self.input = array

    def bind_output(
        self, name: str, device: str, _id: int, dtype: np.dtype[Any], shape: tuple[int, ...], address: int
    ) -> None:
        assert device == "cpu"
        assert dtype == np.dtype(np.float32)
        place = (ctypes.c_float * math.prod(shape)).from_address(address)
        self.outputs[name] = np.ctypeslib.as_array(place).reshape(shape)


class ProcessorAsCard:
    """Replaces ONNX Runtime's session: what is meant for a card is computed by its CPU provider."""

    def __init__(self) -> None:
        self._session = onnx_runtime().InferenceSession

    def __call__(self, graph: Any, options: Any, *, providers: list[Any], enable_fallback: int) -> Any:
        names = [each if isinstance(each, str) else each[0] for each in providers]
        made = self._session(graph, options, providers=names[-1:], enable_fallback=enable_fallback)
        made.get_providers = lambda: names
        return made


def replacements(
    sessions: Sessions | ProcessorAsCard, driver: Driver | None = None
) -> Iterator[tuple[Any, str, Any]]:
    """Yield what an engine must find in place of what it uses: object, name of its part, the part."""
    library = onnx_runtime()
    yield library, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    yield library, "preload_dlls", lambda: None
    yield library, "InferenceSession", sessions
    load = ctypes.CDLL

    def find(name: str | None) -> Any:
        # All but the driver are what they are, as the compiled kernels.
        return driver or Driver() if "cuda" in str(name) else load(name)

    yield ctypes, "CDLL", find


def install(
    monkeypatch: pytest.MonkeyPatch, sessions: Sessions | ProcessorAsCard, driver: Driver | None = None
) -> None:
    """Let the engine find a card with this driver, and run its sessions on the stand-in."""
    for owner, name, part in replacements(sessions, driver):
        monkeypatch.setattr(owner, name, part, raising=False)
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "")
