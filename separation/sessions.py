"""Opens sessions of ONNX Runtime on a CPU or on CUDA, and says why a device cannot be used."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from stemline.separation.cuda import Card, first_card
from stemline.separation.errors import (
    Cancelled,
    DeviceError,
    DeviceFailed,
    DeviceOutOfMemory,
    SeparationError,
    WeightsCorrupt,
)
from stemline.separation.interruption import Interruption
from stemline.separation.logs import get_logger
from stemline.separation.onnx_runtime import onnx_runtime
from stemline.separation.optimised import OptimisedGraph

log = get_logger(__name__)

_CPU = "CPUExecutionProvider"
_CUDA = "CUDAExecutionProvider"
#: TF32 would round factors to 10 bits of mantissa and exceed the tolerance of 1e-4.
_CUDA_OPTIONS = {"use_tf32": "0", "arena_extend_strategy": "kSameAsRequested"}
#: By how much the arena of Spleeter's networks grows, unless a value is larger, bytes.
_ARENA_STEP = 4 << 20
#: Parts of the messages by which ONNX Runtime, CUDA, cuBLAS and cuDNN report that memory ran out.
_OUT_OF_MEMORY = (
    "out of memory",
    "failed to allocate memory",
    "alloc_failed",
    "allocation_failed",
    "error_memory_allocation",
    "smaller than requested bytes",
    "bad_alloc",
)
#: Errors of ONNX Runtime that are the graph's fault, on any device.
_GRAPH_ERRORS = ("InvalidGraph", "InvalidProtobuf", "NoModel", "NoSuchFile")

#: A device whose outputs differ from the CPU's by more computes something else. Exact arithmetic in another
#: order differs by some 1e-5, TF32 by some 1e-3.
MAX_DIFFERENCE = 1e-3

Masks = list[NDArray[np.float32]]


#: Sizes of a tensor; what is not a number may be any.
Shape = tuple[int | str | None, ...]


#: An ONNX model, or its file.
Graph = Path | bytes | OptimisedGraph


class Signature(NamedTuple):
    """What a graph takes and gives: how many, whether single precision, and the first shapes."""

    inputs: int
    outputs: int
    is_single: bool
    input_shape: Shape
    output_shape: Shape


class GraphSource(Protocol):
    """Returns the ONNX model to run, or the path of its file."""

    def __call__(self, *, polyphase: bool) -> Graph:
        """Return the graph; with `polyphase`, transposed convolutions are split, which is faster on CPUs."""


def has_cuda() -> bool:
    """Return whether this ONNX Runtime was built with CUDA; whether it works is another question."""
    return _CUDA in onnx_runtime().get_available_providers()


def cuda_card() -> Card:
    """Load CUDA's and cuDNN's libraries, and return the card that ONNX Runtime will use.

    Raises:
        DeviceError: This ONNX Runtime has no CUDA, or the driver, the card or a library is missing.
    """
    if not has_cuda():
        raise DeviceError(
            "cuda was asked for, but this ONNX Runtime has no CUDA: "
            "install stemline[gpu] instead of stemline[worker]."
        )
    # The provider tries TF32 again where it finds no other plan; this forbids it to cuBLAS and cuDNN.
    os.environ["NVIDIA_TF32_OVERRIDE"] = "0"
    card = first_card(str(getattr(onnx_runtime(), "cuda_version", None) or _built_with()))
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        onnx_runtime().preload_dlls()
    if complaints := printed.getvalue().strip():
        log.warning("cuda.library_not_loaded", reason=complaints)
    return card


def _built_with() -> str:
    """Return the CUDA version that ONNX Runtime was built with; empty where it does not say so."""
    try:
        onnx_runtime()
        from onnxruntime.capi import build_and_package_info  # noqa: PLC0415  # absent in some builds
    except ImportError:
        return ""
    return str(getattr(build_and_package_info, "cuda_version", ""))


class Session:
    """A graph, ready to run on one device.

    Args:
        name: The model, for messages.
        graph: The ONNX model.
        device: `cpu` or `cuda`.
        threads: CPUs that one run uses.

    Raises:
        DeviceError: The device cannot be used.
        WeightsCorrupt: ONNX Runtime rejects the graph.
    """

    def __init__(self, name: str, graph: Graph, device: str, *, threads: int = 1) -> None:
        self.device = device
        providers: list[Any] = [_CPU] if device == "cpu" else [(_CUDA, _CUDA_OPTIONS), _CPU]
        library = onnx_runtime()
        options = _options(threads)
        # A plan for all values of a run takes a block for each run, beside what the first run has left.
        options.enable_mem_pattern = device != "cpu"
        if isinstance(graph, OptimisedGraph):
            _share_arena(options)
            options.graph_optimization_level = library.GraphOptimizationLevel.ORT_DISABLE_ALL
            graph = graph.path
        try:
            self._session = library.InferenceSession(
                graph if isinstance(graph, bytes) else str(graph),
                options,
                providers=providers,
                enable_fallback=0,  # else a failing device is reported on stdout and replaced by the CPU
            )
        except Exception as error:
            raise self._opening_error(name, error) from error
        if device != "cpu" and self._session.get_providers()[0] != _CUDA:
            raise DeviceError(
                "cuda was asked for, but ONNX Runtime could not load its CUDA provider: "
                "CUDA or cuDNN is missing; install stemline[gpu]."
            )
        if not self._session.get_inputs() or not self._session.get_outputs():
            raise WeightsCorrupt(f"The network of {name} has no input, or no output.")
        self._input = self._session.get_inputs()[0].name

    @property
    def signature(self) -> Signature:
        """Return what the graph takes and gives."""
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        return Signature(
            len(inputs),
            len(outputs),
            inputs[0].type == outputs[0].type == "tensor(float)",
            tuple(inputs[0].shape),
            tuple(outputs[0].shape),
        )

    def _opening_error(self, name: str, error: Exception) -> SeparationError:
        if self.device == "cpu" or type(error).__name__ in _GRAPH_ERRORS:
            return WeightsCorrupt(f"ONNX Runtime rejects the network of {name}: {error}")
        if _is_out_of_memory(error):
            return DeviceOutOfMemory(f"The memory of {self.device} is full: {error}")
        return DeviceError(f"{self.device} cannot be used: {error}")

    def run(self, batch: NDArray[np.float32], interruption: Interruption | None = None) -> Masks:
        """Return every output of the graph for a batch; of Spleeter's, the masks of each instrument.

        Raises:
            Cancelled: The run was interrupted, which ONNX Runtime heeds before each operator of the graph.
            DeviceOutOfMemory: The batch does not fit.
            DeviceFailed: Anything else went wrong. What a run gets depends on no job, so it is the device.
        """
        with self._failures(interruption):
            return self._run(batch, interruption)

    def run_into(self, batch: NDArray[np.float32], outputs: Mapping[str, NDArray[np.float32]]) -> None:
        """Compute the outputs that are named, and no others, into arrays on the host.

        Args:
            batch: The input of the graph, the batch first.
            outputs: By the name of an output, the array that receives it, of its shape and type.

        Raises:
            DeviceOutOfMemory: The batch does not fit.
            DeviceFailed: Anything else went wrong.
        """
        options = onnx_runtime().RunOptions()
        options.only_execute_path_to_fetches = True
        with self._failures():
            binding = self._session.io_binding()
            binding.bind_cpu_input(self._input, batch)
            for name, array in outputs.items():
                binding.bind_output(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
            self._session.run_with_iobinding(binding, options)

    @contextlib.contextmanager
    def _failures(self, interruption: Interruption | None = None) -> Iterator[None]:
        """Turn an exception of a run into one of ours."""
        try:
            yield
        except Exception as error:
            if interruption is not None and interruption.is_set:
                raise Cancelled from error
            if _is_out_of_memory(error):
                raise DeviceOutOfMemory from error
            raise DeviceFailed(f"{self.device} failed: {error}") from error

    def _run(self, batch: NDArray[np.float32], interruption: Interruption | None) -> Masks:
        given = {self._input: batch}
        masks: Masks
        if interruption is None:
            masks = self._session.run(None, given)
            return masks
        options = onnx_runtime().RunOptions()
        options.log_severity_level = 4  # the exception says what an error is; to be interrupted is none

        def terminate() -> None:
            options.terminate = True

        with interruption.ends(terminate):
            masks = self._session.run(None, given, options)
        return masks


def _options(threads: int) -> Any:
    options = onnx_runtime().SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # A spinning thread would take CPU time from other segments, the encoders and other programs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _share_arena(options: Any) -> None:
    """Let a session take memory for values from an arena of the process, which grows in small steps.

    That of a session of its own doubles, and so takes a quarter more than the runs need. It is for Spleeter's
    networks: the memory that heavier ones take is freed with their sessions.
    """
    _register_arena()
    options.add_session_config_entry("session.use_env_allocators", "1")


@cache
def _register_arena() -> None:
    library = onnx_runtime()
    kind = library.OrtAllocatorType.ORT_ARENA_ALLOCATOR
    memory = library.OrtMemoryInfo("Cpu", kind, 0, library.OrtMemType.DEFAULT)
    growth = library.OrtArenaCfg({"max_power_of_two_extend_bytes": _ARENA_STEP})
    library.create_and_register_allocator(memory, growth)


def _is_out_of_memory(error: Exception) -> bool:
    message = str(error).lower()
    return isinstance(error, MemoryError) or any(sign in message for sign in _OUT_OF_MEMORY)


def largest_difference(
    run: Callable[[NDArray[np.float32]], Sequence[NDArray[np.float32]]],
    reference: Callable[[NDArray[np.float32]], Sequence[NDArray[np.float32]]],
    *,
    size: int,
    shape: tuple[int, ...],
) -> float:
    """Run a batch of `size` equal test segments of this shape, and compare it with the reference's outputs.

    Returns:
        The largest difference of a value, as a share of the largest one where that exceeds 1; infinite where
        a value is not a number.
    """
    segment = np.abs(np.random.default_rng(0).standard_normal(shape, dtype=np.float32)) * 5
    batch = np.broadcast_to(segment, (size, *shape)).copy()
    expected = reference(batch[:1])
    differences = [
        float(np.abs(mask - one).max()) / max(1.0, float(np.abs(one).max()))
        for mask, one in zip(run(batch), expected, strict=True)
    ]
    return worst(differences)


def worst(differences: Sequence[float]) -> float:
    """Return the largest difference; infinite where one is not a number, which `max` may pass over."""
    return max(each if np.isfinite(each) else float("inf") for each in differences)
