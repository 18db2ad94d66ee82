"""Loading an engine: verified weights, the graph built from them, and the engine that runs it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from stemline.models.card import Card, Kind
from stemline.models.catalogue import MaskKind, Model, model_named
from stemline.models.library import card_named, members
from stemline.models.weights import WeightStore, sha256
from stemline.separation.cpus import available_cpus
from stemline.separation.engine import DEVICES, ENGINES, LoadedEngine
from stemline.separation.errors import DeviceError, OptionError
from stemline.separation.logs import get_logger
from stemline.separation.native.library import find
from stemline.separation.onnx_runtime import may_have_cuda

if TYPE_CHECKING:
    from ctypes import CDLL

    from stemline.separation.native.library import Found

log = get_logger(__name__)


def load_engine(
    model_name: str,
    *,
    engine: str = "onnxruntime",
    device: str = "auto",
    directory: Path | None = None,
    threads: int | None = None,
    songs: int = 1,
    at_once: int | None = None,
    batch_wait_s: float = 0.0,
    transform: str = "device",
    kernels: str | None = None,
    digest: Callable[[Path], str] = sha256,
    member: Callable[[str], LoadedEngine] | None = None,
) -> LoadedEngine:
    """Load a model from verified weights.

    Args:
        model_name: A built-in model (2stems, 4stems, 5stems), or one that was added with its card.
        engine: `onnxruntime`, or `tensorflow` for the spleeter package's own networks.
        device: One of `auto`, `cpu`, `cuda`.
        directory: The model directory; by default `STEMLINE_MODELS_DIR` or the user's cache.
        threads: CPUs to use; by default those this process may run on.
        songs: How many songs are separated at the same time.
        at_once: How many segments of Spleeter's models CPUs compute at the same time, each on its part of the
            threads; by default as many as there are threads. A song of one segment is faster with 1.
        batch_wait_s: How long a segment waits for others before an incomplete batch runs on a GPU, s.
        transform: Where a GPU's segments are transformed, for Spleeter's models: `device`, or `host` if the
            card cannot; or `host`.
        kernels: Compiled kernels for Spleeter's models on CPUs, as `separation.native.library.load` takes
            them; by default `STEMLINE_KERNELS`.
        digest: Returns the SHA-256 of a file of the model; `known_sha256` reads those alone that changed.
        member: Returns the engine of a model that an ensemble averages; by default each is loaded for it.

    Raises:
        OptionError: Unknown model, engine, device or kernels.
        WeightsMissing: The weights are not in the directory.
        WeightsCorrupt: They do not match their checksums.
        CardError: The card of the model is wrong.
        DeviceError: The device or the kernels asked for are not there.
    """
    if device not in DEVICES:
        raise OptionError(f"There is no device {device!r}; there are {', '.join(DEVICES)}.")
    if engine not in ENGINES:
        raise OptionError(f"There is no engine {engine!r}; there are {', '.join(ENGINES)}.")
    # They measure the loudness of stems too, whatever runs the networks: a wrong choice is said now.
    find(kernels)
    store = WeightStore(directory)
    card = card_named(model_name, store)
    options = _Options(
        engine, device, threads or available_cpus(), songs, at_once, batch_wait_s, transform, kernels, digest
    )
    if card.format == "spleeter":
        return _load_spleeter(card, store, options)
    return _load(card, store, options, member)


class _Options(NamedTuple):
    engine: str
    device: str
    threads: int
    songs: int
    at_once: int | None
    batch_wait_s: float
    transform: str
    kernels: str | None
    digest: Callable[[Path], str]


def _load(
    card: Card, store: WeightStore, options: _Options, member: Callable[[str], LoadedEngine] | None
) -> LoadedEngine:
    """Load a model that was added, or the models of an ensemble."""
    from stemline.models.segment_loading import open_ensemble, open_network  # noqa: PLC0415  # slow

    if options.engine != "onnxruntime":
        raise OptionError(f"The engine {options.engine} runs Spleeter's models only, not {card.name}.")
    if card.kind is Kind.ENSEMBLE:
        members(card, store)
        return open_ensemble(
            card,
            member or (lambda name: load_engine(name, directory=store.directory, **options._asdict())),
        )
    file = store.verified(card, digest=options.digest) / card.file
    return open_network(
        card,
        file,
        device=options.device,
        threads=options.threads,
        songs=options.songs,
        batch_wait_s=options.batch_wait_s,
    )


def _load_spleeter(card: Card, store: WeightStore, options: _Options) -> LoadedEngine:
    """Load one of Spleeter's models, whose networks are made of its checkpoint."""
    model = model_named(card.name)
    # Hashing releases the interpreter lock, so the engine's packages are imported meanwhile. No network is
    # made, and nothing is returned, before the weights are verified.
    with ThreadPoolExecutor(1, thread_name_prefix="verify") as executor:
        weights = executor.submit(store.verified, model, digest=options.digest)
        loaded: LoadedEngine
        if options.engine == "tensorflow":
            from stemline.separation.tensorflow_engine import TensorFlowEngine  # noqa: PLC0415  # optional

            return TensorFlowEngine(model, weights.result(), device=options.device, threads=options.threads)
        kernels = _kernels(options)
        if kernels.library is None:
            loaded = _onnx_engine(model, store, weights.result, options)
        elif (on_card := _cuda_engine(model, store, weights.result, options)) is not None:
            loaded = on_card
        else:
            loaded = _native_engine(model, kernels.library, weights.result(), options, kernels.instructions)
        weights.result()
    return loaded


def _kernels(options: _Options) -> Found:
    """Return the compiled networks, if there are any and they are wanted."""
    from stemline.separation.native.library import Found, load  # noqa: PLC0415  # not for other models

    return Found(None, "") if options.device == "cuda" else load(options.kernels)


def _native_engine(
    model: Model, library: CDLL, weights: Path, options: _Options, instructions: str
) -> LoadedEngine:
    """Load a model into the compiled networks."""
    from stemline.models.checkpoint import read_tensors  # noqa: PLC0415  # not for graphs from the cache
    from stemline.models.native_weights import native_weights  # noqa: PLC0415  # imports numpy
    from stemline.separation.native.stft import NativeSTFT  # noqa: PLC0415  # likewise
    from stemline.separation.native.unet import UNets  # noqa: PLC0415  # likewise
    from stemline.separation.native_engine import NativeEngine  # noqa: PLC0415  # likewise

    tensors = native_weights(model, read_tensors(weights))
    is_softmax = model.mask is MaskKind.SOFTMAX
    networks = UNets(library, tensors, is_softmax=is_softmax, threads=options.threads)
    return NativeEngine(
        model,
        networks,
        NativeSTFT(library),
        at_once=min(options.at_once or options.threads, options.threads),
        kernels=instructions,
    )


def _cuda_engine(
    model: Model, store: WeightStore, weights: Callable[[], Path], options: _Options
) -> LoadedEngine | None:
    """Load a model onto a card, where `auto` finds one that works."""
    if options.device != "auto" or not may_have_cuda():
        return None
    try:
        return _onnx_engine(model, store, weights, options._replace(device="cuda"))
    except DeviceError as error:
        log.warning("engine.cuda_unavailable", reason=error.message)
        return None


def _onnx_engine(
    model: Model, store: WeightStore, weights: Callable[[], Path], options: _Options
) -> LoadedEngine:
    """Load a model into ONNX Runtime."""
    from stemline.models.graph_cache import graph_for  # noqa: PLC0415  # slow
    from stemline.separation.onnx_engine import OnnxEngine  # noqa: PLC0415  # slow

    graph = partial(graph_for, model, store.folder(model), weights, digest=options.digest)
    on_device = partial(graph, polyphase=False, samples=True)
    return OnnxEngine(
        model,
        graph,
        samples_graph=on_device if options.transform == "device" else None,
        at_once=options.at_once,
        device=options.device,
        threads=options.threads,
        songs=options.songs,
        batch_wait_s=options.batch_wait_s,
    )
