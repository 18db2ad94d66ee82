"""The networks on ONNX Runtime: CPU, CUDA or TensorRT."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnxruntime
import structlog
from numpy.typing import NDArray

from stemline.separation.batching import Batcher
from stemline.separation.errors import DeviceError, DeviceOutOfMemory, SeparationError, WeightsCorrupt
from stemline.separation.gpu import Gpu, first_gpu
from stemline.separation.network import Network

log = structlog.get_logger(__name__)

_CPU = "CPUExecutionProvider"
_CUDA = "CUDAExecutionProvider"
_TENSORRT = "TensorrtExecutionProvider"
#: TF32 would round factors to 10 bits of mantissa and exceed the tolerance of 1e-4.
_CUDA_OPTIONS = {"use_tf32": "0", "arena_extend_strategy": "kSameAsRequested"}
_NAMES = {"cpu": _CPU, "cuda": _CUDA, "tensorrt": _TENSORRT}
#: Parts of the messages by which ONNX Runtime and CUDA report that memory ran out.
_OUT_OF_MEMORY = ("out of memory", "failed to allocate memory", "cuda_error_out_of_memory", "bad_alloc")


class GraphSource(Protocol):
    """Returns the ONNX model to run, or the path of its file."""

    def __call__(self, *, polyphase: bool) -> Path | bytes:
        """Return the graph; with `polyphase`, transposed convolutions are split, which is faster on CPUs."""


class OnnxEngine:
    """The networks of one model in ONNX Runtime; an `Engine`.

    On a CPU each segment runs on one thread, and as many segments as threads are in flight: that is faster
    than one segment at a time on all threads. A segment that is alone runs on all threads, in a second
    session. On a GPU the segments of all threads are gathered into batches.

    Args:
        network: What the graph computes.
        graph: Where the graph comes from.
        device: One of `auto`, `cpu`, `cuda`, `tensorrt`.
        threads: CPUs to use.

    Raises:
        DeviceError: The device asked for is not there.
        WeightsCorrupt: ONNX Runtime rejects the graph.
    """

    def __init__(
        self, network: Network, graph: GraphSource, *, device: str = "auto", threads: int = 1
    ) -> None:
        self.network = network
        self.any_length = True
        self._graph = graph
        self._threads = threads
        self._wide: Any = None
        self._wide_lock = threading.Lock()
        self._kind, self._session = self._choose(device)
        self._batcher: Batcher | None = None
        self.device = self._kind
        self.in_flight = threads
        if self._kind != "cpu":
            gpu = first_gpu() or Gpu("unnamed", 0)
            self._batcher = Batcher(self._run, gpu.batch)
            self.device = f"{self._kind} ({gpu.name})"
            # One batch runs while the next is transformed.
            self.in_flight = max(threads, 2 * gpu.batch)
        log.info("engine.loaded", model=network.name, device=self.device, in_flight=self.in_flight)

    def masks(self, magnitude: NDArray[np.float32], *, alone: bool = False) -> Sequence[NDArray[np.float32]]:
        """Return the share of every instrument; see `Engine.masks`."""
        if self._batcher is not None:
            return self._batcher(magnitude)
        session = self._wide_session() if alone and self._threads > 1 else self._session
        return [mask[0] for mask in self._run(magnitude[np.newaxis], session)]

    def _run(self, magnitude: NDArray[np.float32], session: Any = None) -> Sequence[NDArray[np.float32]]:
        try:
            masks: list[NDArray[np.float32]] = (session or self._session).run(None, {"magnitude": magnitude})
        except Exception as error:
            message = str(error)
            if any(sign in message.lower() for sign in _OUT_OF_MEMORY):
                raise DeviceOutOfMemory from error
            raise DeviceError(f"{self.device} failed: {message}") from error
        return masks

    def _wide_session(self) -> Any:
        with self._wide_lock:
            if self._wide is None:
                self._wide = self._open("cpu", threads=self._threads)
        return self._wide

    def _choose(self, device: str) -> tuple[str, Any]:
        """Open a session on the device asked for, or on the best there is."""
        if device != "auto":
            return device, self._open(device, threads=1)
        if _CUDA in onnxruntime.get_available_providers():
            try:
                return "cuda", self._open("cuda", threads=1)
            except DeviceError as error:
                log.warning("engine.cuda_unavailable", reason=error.message)
        return "cpu", self._open("cpu", threads=1)

    def _open(self, device: str, *, threads: int) -> Any:
        available = onnxruntime.get_available_providers()
        if _NAMES[device] not in available:
            raise DeviceError(f"{device} was asked for, but this ONNX Runtime offers {', '.join(available)}.")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # A spinning thread would take CPU time from other segments, the encoders and other programs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            graph = self._graph(polyphase=device == "cpu")
            session = onnxruntime.InferenceSession(
                graph if isinstance(graph, bytes) else str(graph),
                options,
                providers=_providers(device, graph),
            )
        except SeparationError:
            raise
        except Exception as error:
            raise WeightsCorrupt(
                f"ONNX Runtime rejects the network of {self.network.name}: {error}"
            ) from error
        # Without a GPU or its libraries ONNX Runtime only warns, and would run on the CPU.
        session.disable_fallback()
        if session.get_providers()[0] != _NAMES[device]:
            raise DeviceError(f"{device} was asked for, but ONNX Runtime could not start it here.")
        return session


def _providers(device: str, graph: Path | bytes) -> list[Any]:
    """Return ONNX Runtime's providers for a device, followed by those that run what it cannot."""
    providers: list[Any] = [_CPU]
    if device in ("cuda", "tensorrt"):
        providers.insert(0, (_CUDA, _CUDA_OPTIONS))
    if device == "tensorrt":
        # Building a TensorRT engine takes minutes, so it is cached beside the graph.
        cache = {"trt_engine_cache_path": str(graph.parent / "tensorrt")} if isinstance(graph, Path) else {}
        providers.insert(0, (_TENSORRT, {"trt_engine_cache_enable": str(bool(cache)), **cache}))
    return providers
