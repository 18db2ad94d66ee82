"""Loading an engine: verified weights, the graph built from them, and the engine that runs it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from stemline.models.catalogue import model_named
from stemline.models.weights import WeightStore
from stemline.separation.cpus import available_cpus
from stemline.separation.engine import DEVICES, ENGINES, Engine
from stemline.separation.errors import OptionError


def load_engine(
    model_name: str,
    *,
    engine: str = "onnxruntime",
    device: str = "auto",
    directory: Path | None = None,
    threads: int | None = None,
    songs: int = 1,
    batch_wait_s: float = 0.0,
) -> Engine:
    """Load a model from verified weights.

    Args:
        model_name: A name of the catalogue: 2stems, 4stems, 5stems.
        engine: `onnxruntime`, or `tensorflow` for the spleeter package's own networks.
        device: One of `auto`, `cpu`, `cuda`.
        directory: The model directory; by default `STEMLINE_MODELS_DIR` or the user's cache.
        threads: CPUs to use; by default those this process may run on.
        songs: How many songs are separated at the same time.
        batch_wait_s: How long a segment waits for others before an incomplete batch runs on a GPU, s.

    Raises:
        OptionError: Unknown model, engine or device.
        WeightsMissing: The weights are not in the directory.
        WeightsCorrupt: They do not match their checksums.
        DeviceError: The device asked for is not there.
    """
    model = model_named(model_name)
    if device not in DEVICES:
        raise OptionError(f"There is no device {device!r}; there are {', '.join(DEVICES)}.")
    if engine not in ENGINES:
        raise OptionError(f"There is no engine {engine!r}; there are {', '.join(ENGINES)}.")
    store = WeightStore(directory)
    threads = threads or available_cpus()
    # Hashing releases the interpreter lock, so the engine's packages are imported meanwhile. No graph is
    # built, and nothing is returned, before the weights are verified.
    with ThreadPoolExecutor(1, thread_name_prefix="verify") as executor:
        weights = executor.submit(store.verified, model)
        loaded: Engine
        if engine == "tensorflow":
            from stemline.separation.tensorflow_engine import TensorFlowEngine  # noqa: PLC0415  # optional

            loaded = TensorFlowEngine(model, weights.result(), device=device, threads=threads)
        else:
            from stemline.models.graph_cache import cached_graph, write_graph  # noqa: PLC0415  # slow
            from stemline.separation.onnx_engine import OnnxEngine  # noqa: PLC0415  # slow

            def graph(*, polyphase: bool) -> Path | bytes:
                cached = cached_graph(model, store.folder(model), polyphase=polyphase)
                return cached or write_graph(model, weights.result(), polyphase=polyphase)

            loaded = OnnxEngine(
                model, graph, device=device, threads=threads, songs=songs, batch_wait_s=batch_wait_s
            )
        weights.result()
    return loaded
