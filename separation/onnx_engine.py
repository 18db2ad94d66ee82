"""The networks on ONNX Runtime: processors, CUDA or TensorRT."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from separation.catalogue import Model
from separation.errors import DeviceError, WeightsCorrupt
from separation.graph_cache import cached_graph

_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}


class OnnxEngine:
    """One model in ONNX Runtime.

    On processors one segment runs on one thread and as many segments as threads are in flight, which wastes
    less than one segment on all threads; a segment that is alone gets all threads from a second session.
    """

    def __init__(self, model: Model, weights: Path, *, device: str = "auto", threads: int = 1) -> None:
        self._model = model
        self._graph = cached_graph(model, weights)
        self._threads = threads
        self._provider = _choose(device)
        self._session = self._open(threads=1)
        self._wide: Any = None
        self._lock = threading.Lock()

    @property
    def model(self) -> Model:
        """Return the model that is loaded."""
        return self._model

    @property
    def device(self) -> str:
        """Return what it runs on."""
        return self._provider

    @property
    def in_flight(self) -> int:
        """Return how many segments to hand in at the same time."""
        return self._threads

    def masks(self, magnitude: NDArray[np.float32], *, alone: bool = False) -> Sequence[NDArray[np.float32]]:
        """Return the share of every instrument; see `Engine.masks`."""
        session = self._wide_session() if alone and self._threads > 1 else self._session
        return [mask[0] for mask in session.run(None, {"magnitude": magnitude[np.newaxis]})]

    def _wide_session(self) -> Any:
        with self._lock:
            if self._wide is None:
                self._wide = self._open(threads=self._threads)
        return self._wide

    def _open(self, *, threads: int) -> Any:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # A waiting thread that spins takes its processor from the other segments, the encoders and other
        # programs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            return onnxruntime.InferenceSession(
                str(self._graph), options, providers=[_PROVIDERS[self._provider]]
            )
        except Exception as error:
            raise WeightsCorrupt(
                f"ONNX Runtime refuses the network of {self._model.name}: {error}"
            ) from error


def _choose(device: str) -> str:
    available = onnxruntime.get_available_providers()
    if device == "auto":
        return "cuda" if _PROVIDERS["cuda"] in available else "cpu"
    if _PROVIDERS[device] not in available:
        raise DeviceError(f"{device} was asked for, but this ONNX Runtime has only {', '.join(available)}.")
    return device
