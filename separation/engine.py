"""What runs the networks: the interface of an engine, and the way to choose one.

An engine is made once per process and model, and is safe to call from several threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from stemline.separation.catalogue import Model, model_named
from stemline.separation.cpus import available_cpus
from stemline.separation.errors import OptionError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Devices that can be asked for; `auto` takes the best that is there.
DEVICES = ("auto", "cpu", "cuda", "tensorrt")
#: Engines that can be asked for.
ENGINES = ("onnxruntime", "tensorflow")


@runtime_checkable
class Engine(Protocol):
    """One model, loaded and warm."""

    #: The model that is loaded.
    model: Model
    #: What it runs on, as written to logs and job records: `cpu`, `cuda (NVIDIA H100)`.
    device: str
    #: Whether windows of other lengths than 512 frames can be run, as context needs them.
    any_length: bool
    #: How many segments should be given to `masks` at the same time, each by its own thread.
    in_flight: int

    def masks(self, magnitude: NDArray[np.float32], *, alone: bool = False) -> Sequence[NDArray[np.float32]]:
        """Return the share of every instrument, in the model's order.

        Args:
            magnitude: (2, frames, 1,024), 512 frames, or a multiple of 64 where `any_length` says so.
            alone: No other segment is in flight, so all processors may work on this one.

        Returns:
            One array per instrument, shaped like `magnitude`, values 0 to 1.

        Raises:
            DeviceError: The device failed, or has not enough memory for one segment.
        """


def load_engine(
    model_name: str,
    *,
    engine: str = "onnxruntime",
    device: str = "auto",
    directory: Path | None = None,
    threads: int | None = None,
) -> Engine:
    """Load a model from verified weights.

    Args:
        model_name: A name of the catalogue: 2stems, 4stems, 5stems.
        engine: `onnxruntime`, or `tensorflow` for the spleeter package's own networks.
        device: One of `auto`, `cpu`, `cuda`, `tensorrt`.
        directory: The model directory; by default `STEMLINE_MODELS_DIR` or the user's cache.
        threads: Processors to use; by default those this process may run on.

    Raises:
        OptionError: Unknown model, engine or device.
        WeightsMissing: The weights are not in the directory.
        WeightsCorrupt: They are, and do not match their checksums.
        DeviceError: The device asked for is not there.
    """
    from stemline.models.weights import WeightStore  # noqa: PLC0415  # loading is slow; names are not

    model = model_named(model_name)
    if device not in DEVICES:
        raise OptionError(f"There is no device {device!r}; there are {', '.join(DEVICES)}.")
    if engine not in ENGINES:
        raise OptionError(f"There is no engine {engine!r}; there are {', '.join(ENGINES)}.")
    store = WeightStore(directory)
    threads = threads or available_cpus()
    with ThreadPoolExecutor(1, thread_name_prefix="verify") as aside:
        # Hashing leaves the interpreter to the imports and ONNX Runtime; nothing is returned, and no graph is
        # built, before it is done.
        weights = aside.submit(store.verified, model)
        loaded: Engine
        if engine == "tensorflow":
            from stemline.separation.tensorflow_engine import TensorFlowEngine  # noqa: PLC0415

            loaded = TensorFlowEngine(model, weights.result(), device=device, threads=threads)
        else:
            from stemline.models.graph_cache import cached_graph, write_graph  # noqa: PLC0415
            from stemline.separation.onnx_engine import OnnxEngine  # noqa: PLC0415

            def graph(polyphase: bool) -> Path | bytes:
                return cached_graph(model, store.folder(model), polyphase=polyphase) or write_graph(
                    model, weights.result(), polyphase=polyphase
                )

            loaded = OnnxEngine(model, graph, device=device, threads=threads)
        weights.result()
    return loaded
