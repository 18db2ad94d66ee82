"""The compiled networks, beside those of ONNX Runtime."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest

from stemline.models.catalogue import MODELS, MaskKind
from stemline.models.graph import build_graph
from stemline.models.native_weights import native_weights
from stemline.separation.errors import BrokenNetwork, WeightsCorrupt
from stemline.separation.extension import Extension
from stemline.separation.native.library import SETS, find
from stemline.separation.native.stft import NativeSTFT
from stemline.separation.native.unet import UNets
from stemline.separation.native_engine import NativeEngine
from stemline.separation.network import NETWORK_BINS, SEGMENT_FRAMES
from stemline.separation.network_output import check_output
from stemline.separation.onnx_engine import OnnxEngine
from stemline.separation.stft import forward, share, span
from tests.conftest import missing
from tests.golden import seeded

#: On real weights the error against double precision is at most twice ONNX Runtime's.
TOLERANCE = 1e-4


@cache
def tensors(model: str) -> dict[str, np.ndarray]:
    return seeded.tensors(len(MODELS[model].instruments))


def networks(model: str, instructions: str = "auto", threads: int = 1) -> UNets:
    found = find("auto")
    if found.library is None:
        missing("what the build compiles")
    if instructions != "auto" and SETS.index(instructions) > SETS.index(found.instructions):
        pytest.skip(f"this processor has no {instructions}")
    library = find(instructions).library
    weights = native_weights(MODELS[model], tensors(model))
    is_softmax = MODELS[model].mask is MaskKind.SOFTMAX
    return UNets(library, weights, is_softmax=is_softmax, threads=threads)


def stft() -> NativeSTFT:
    library = find("auto").library
    assert library is not None
    return NativeSTFT(library)


@cache
def reference(model: str) -> OnnxEngine:
    graph = build_graph(MODELS[model], tensors(model), polyphase=True).SerializeToString()
    return OnnxEngine(MODELS[model], lambda **_: graph, device="cpu", threads=2)


def spectrogram(frames: int, seed: int = 5) -> np.ndarray:
    """Return magnitudes whose loudness changes over time, as that of music does."""
    random = np.random.default_rng(seed)
    loudness = np.exp(random.standard_normal((2, frames, 1)))
    return (np.abs(random.standard_normal((2, frames, 1024))) * loudness).astype(np.float32)


def largest_difference(expected, actual) -> float:
    assert len(expected) == len(actual) > 0
    return max(float(np.abs(one - other).max()) for one, other in zip(expected, actual, strict=True))


def is_same(expected, actual) -> bool:
    return largest_difference(expected, actual) == 0


@pytest.mark.parametrize("instructions", SETS)
@pytest.mark.parametrize("frames", [64, 192])
def test_each_instruction_set_computes_the_networks(instructions: str, frames: int) -> None:
    """Masks are those of ONNX Runtime for windows whose tiles fill the layers, and for others."""
    magnitude = spectrogram(frames)
    masks = networks("2stems", instructions).masks(magnitude)
    assert largest_difference(reference("2stems").masks(magnitude), masks) < TOLERANCE


@pytest.mark.parametrize("model", ["4stems", pytest.param("5stems", marks=pytest.mark.thorough)])
def test_each_model_is_computed(model: str) -> None:
    """ELU and the softmax over all networks are the same as ONNX Runtime's."""
    magnitude = spectrogram(64)
    masks = networks(model).masks(magnitude)
    assert len(MODELS[model].instruments) == len(masks)
    assert largest_difference(reference(model).masks(magnitude), masks) < TOLERANCE


@pytest.mark.thorough
@pytest.mark.parametrize("frames", [128, 256, 320, 384, 448, 512, 576, 1024])
def test_every_length_is_computed(frames: int) -> None:
    """Windows with context are longer than a segment, and songs shorter than one give shorter ones."""
    magnitude = spectrogram(frames)
    masks = networks("2stems").masks(magnitude)
    assert largest_difference(reference("2stems").masks(magnitude), masks) < TOLERANCE


@pytest.mark.parametrize("scale", [0.0, 1e-12, 1e-3, 1e6])
def test_shares_add_up_at_any_loudness(scale: float) -> None:
    """From silence to far beyond full scale, shares lie between 0 and 1 and leave nothing."""
    masks = networks("2stems").masks(spectrogram(64) * np.float32(scale))
    assert len(masks) == 2
    assert all(mask.min() >= 0 and mask.max() <= 1 for mask in masks)
    assert np.abs(sum(masks) - 1).max() < 1e-6
    if not scale:
        assert np.abs(masks[0] - 0.5).max() < 1e-6


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_found(value: float) -> None:
    """A broken value is not hidden by an activation: the engine's caller refuses the masks."""
    magnitude = spectrogram(64)
    magnitude[0, 3, 5] = value
    engine = NativeEngine(MODELS["2stems"], networks("2stems"), stft())
    with pytest.raises(BrokenNetwork):
        check_output(engine, engine.masks(magnitude))


@pytest.mark.parametrize("name", ["conv2d", "conv2d_5", "conv2d_transpose", "conv2d_transpose_5", "conv2d_6"])
@pytest.mark.parametrize("model", ["2stems", "4stems"])
def test_what_a_layer_computes_wrongly_is_found(model: str, name: str) -> None:
    """What is not a number stays none through each activation, the sigmoid and the softmax."""
    weights = dict(tensors(model))
    weights[f"{name}/bias"] = np.full_like(weights[f"{name}/bias"], np.nan)
    two = native_weights(MODELS[model], weights)[:2]
    broken = UNets(networks(model)._library, two, is_softmax=MODELS[model].mask is MaskKind.SOFTMAX)
    engine = NativeEngine(MODELS[model], broken, stft())
    with pytest.raises(BrokenNetwork):
        check_output(engine, engine.masks(spectrogram(64)))


def test_weights_are_not_needed_once_they_are_loaded() -> None:
    """Their file is mapped: whoever truncates it would else end the process."""
    library = find("auto").library
    if library is None:
        missing("what the build compiles")
    weights = {name: tensor.copy() for name, tensor in tensors("2stems").items()}
    loaded = UNets(library, native_weights(MODELS["2stems"], weights), is_softmax=False)
    before = loaded.masks(spectrogram(64))
    for tensor in weights.values():
        tensor.fill(np.nan)
    assert is_same(before, loaded.masks(spectrogram(64)))


def test_the_result_does_not_depend_on_threads() -> None:
    """One thread for each network, and several segments at a time, give the bytes that one thread gives."""
    inputs = [spectrogram(64, seed) for seed in range(4)]
    alone = [networks("2stems").masks(each) for each in inputs]
    both = networks("2stems", threads=2)
    with ThreadPoolExecutor(4) as executor:
        for expected, actual in zip(alone, executor.map(both.masks, inputs), strict=True):
            assert is_same(expected, actual)


def test_longer_and_shorter_windows_take_turns() -> None:
    """Memory that was kept for one length is right for another."""
    both = networks("2stems")
    first = both.masks(spectrogram(64))
    both.masks(spectrogram(128))
    assert is_same(first, both.masks(spectrogram(64)))


def test_a_view_is_taken_as_an_array() -> None:
    """Frames out of a longer spectrogram, which do not follow each other in memory, are copied."""
    both = networks("2stems")
    whole = spectrogram(192)
    assert is_same(both.masks(whole[:, 64:128].copy()), both.masks(whole[:, 64:128]))


@pytest.mark.parametrize("shape", [(2, 63, 1024), (2, 0, 1024), (1, 64, 1024), (2, 64, 1025), (64, 1024)])
def test_a_wrong_spectrogram_is_refused(shape: tuple[int, ...]) -> None:
    """The library trusts the sizes that it is given."""
    with pytest.raises(ValueError, match="do not take"):
        networks("2stems").masks(np.zeros(shape, np.float32))


@pytest.mark.parametrize(
    "name",
    [
        "conv2d/kernel",
        "conv2d_13/bias",
        "conv2d_6/kernel",
        "conv2d_transpose/kernel",
        "conv2d_transpose_10/bias",
    ],
)
@pytest.mark.parametrize("damage", ["missing", "short", "other order", "other type"])
def test_wrong_weights_are_refused(name: str, damage: str) -> None:
    """No tensor reaches the library that has not the shape, the order and the type it reads."""
    found = dict(tensors("2stems"))
    tensor = found.pop(name)
    if damage == "short":
        found[name] = tensor[:-1]
    elif damage == "other order":
        found[name] = np.repeat(tensor, 2, axis=-1)[..., ::2]
    elif damage == "other type":
        found[name] = tensor.astype(np.float64)
    with pytest.raises(WeightsCorrupt):
        UNets(networks("2stems")._library, native_weights(MODELS["2stems"], found), is_softmax=False)


@pytest.mark.parametrize("model", ["2stems", "4stems"])
@pytest.mark.parametrize("alone", [False, True])
def test_stems_are_those_of_the_masks(model: str, *, alone: bool) -> None:
    """The engine's own transforms give what the masks give between numpy's, for the stems that are wanted."""
    engine = NativeEngine(MODELS[model], networks(model, threads=2), stft())
    random = np.random.default_rng(7)
    samples = random.standard_normal((2, span(SEGMENT_FRAMES)), dtype=np.float32) * np.float32(0.1)
    spectrum = forward(samples, NETWORK_BINS)
    masks = dict(zip(engine.network.instruments, engine.masks(np.abs(spectrum)), strict=True))
    wanted = engine.network.instruments[1::2]
    for extension in Extension:
        stems = engine.stems(samples, wanted, extension, alone=alone)
        expected = [share(samples, spectrum, masks[name], extension.share(masks[name])) for name in wanted]
        assert largest_difference(expected, stems) < 1e-6
