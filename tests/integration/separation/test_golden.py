"""Stemline against the output of Spleeter 2.4.2 itself; `make golden` records the values."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from stemline.models.catalogue import MODELS, Activation, MaskKind, Model
from stemline.models.graph import build_graph
from stemline.models.loading import load_engine
from stemline.models.native_weights import native_weights
from stemline.separation.engine import Engine
from stemline.separation.extension import Extension
from stemline.separation.native.library import load
from stemline.separation.native.stft import NativeSTFT
from stemline.separation.native.unet import UNets
from stemline.separation.native_engine import NativeEngine
from stemline.separation.onnx_engine import OnnxEngine
from stemline.separation.separator import Separator
from stemline.testing.song import demo_song
from tests.conftest import missing
from tests.golden import seeded, song
from tests.golden.clip import decode16
from tests.golden.excerpts import excerpt

pytestmark = pytest.mark.slow

#: The largest absolute difference that is allowed, full scale being 1.
TOLERANCE = 1e-4


@cache
def song_of(seconds: float) -> np.ndarray:
    """The mix of a song that is made by code."""
    return song.mix(song.stems(seconds))


def separated(engine, mix: np.ndarray, extension: str) -> dict[str, np.ndarray]:
    with Separator(engine, extension=Extension(extension)) as separator:
        pieces = list(separator.separate(mix[start : start + 32_768] for start in range(0, len(mix), 32_768)))
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def check(engine, mix: np.ndarray, expected: dict[str, np.ndarray]) -> None:
    for extension in (Extension.AVERAGE, Extension.ZEROS):  # the two that Spleeter has
        stems = separated(engine, mix, extension)
        assert set(engine.network.instruments) == set(stems)
        for name, stem in stems.items():
            assert mix.shape == stem.shape
            assert np.abs(expected[f"{extension}/{name}"] - excerpt(stem)).max() < TOLERANCE


def seeded_engine(model: Model) -> OnnxEngine:
    tensors = seeded.tensors(len(model.instruments))

    def graph(*, polyphase: bool) -> bytes:
        return build_graph(model, tensors, polyphase=polyphase).SerializeToString()

    return OnnxEngine(model, graph, device="cpu", threads=2)


def native_engine(model: Model) -> NativeEngine:
    library = load().library
    if library is None:
        missing("what the build compiles")
    weights = native_weights(model, seeded.tensors(len(model.instruments)))
    networks = UNets(library, weights, is_softmax=model.mask is MaskKind.SOFTMAX, threads=2)
    return NativeEngine(model, networks, NativeSTFT(library), at_once=2)


def test_the_song_is_the_one_that_was_recorded(golden) -> None:
    """The generated song has the samples with which Spleeter's answers were recorded."""
    for name, seconds in (("2stems", 30.0), ("4stems", 13.0), ("5stems", 13.0)):
        mix = song_of(seconds)
        expected = str(golden(f"{name}_song.npz")["mix_sha256"])
        assert expected == hashlib.sha256(mix.tobytes()).hexdigest()


@pytest.mark.thorough  # the contract of engines, in test_engines.py, has the same
def test_two_stems_of_a_song_equal_spleeters(golden, weights_2stems: Path) -> None:
    """With the real weights both extensions give Spleeter's samples over three segments, seams included."""
    check(load_engine("2stems"), song_of(30.0), golden("2stems_song.npz"))


@pytest.mark.thorough
def test_two_stems_of_the_demo_song_equal_spleeters(golden, weights_2stems: Path, tmp_path: Path) -> None:
    """The song of `make demo` is separated as Spleeter separates it."""
    path = tmp_path / "demo.wav"
    path.write_bytes(demo_song().mix)
    check(load_engine("2stems"), decode16(path), golden("2stems_demo.npz"))


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(seeded_engine, id="onnxruntime", marks=pytest.mark.thorough),
        pytest.param(native_engine, id="native"),
    ],
)
@pytest.mark.parametrize("name", ["4stems", pytest.param("5stems", marks=pytest.mark.thorough)])
def test_other_models_equal_spleeters(golden, name: str, make: Callable[[Model], Engine]) -> None:
    """With seeded weights 4 and 5 stems are what Spleeter's own code makes with the same weights."""
    check(make(MODELS[name]), song_of(13.0), golden(f"{name}_song.npz"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"encoder": Activation.LEAKY_RELU},
        pytest.param({"decoder": Activation.RELU}, marks=pytest.mark.thorough),
        pytest.param({"mask": MaskKind.SOFTMAX}, marks=pytest.mark.thorough),
    ],
    ids=["encoder", "decoder", "mask"],
)
def test_a_wrong_activation_is_detected(golden, wrong: dict) -> None:
    """With another activation or mask the error is more than 100 times the tolerance."""
    expected = golden("4stems_song.npz")
    stems = separated(seeded_engine(replace(MODELS["4stems"], **wrong)), song_of(13.0), "average")
    assert set(MODELS["4stems"].instruments) == stems.keys()
    for name, stem in stems.items():
        assert np.abs(expected[f"average/{name}"] - excerpt(stem)).max() > 100 * TOLERANCE
