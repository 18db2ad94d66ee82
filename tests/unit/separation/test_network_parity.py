"""Networks of other authors give what their own code gives: recorded by `tests.golden.record_networks`.

Demucs 4.1.0 (`demucs.apply`, its normalisation, a bag of models), UVR's loop around MDX-Net, Open-Unmix 1.3.0
with soft masks, and audio-separator's loop around RoFormers (`tests.golden.record_roformers`), all with small
networks of random weights. `make parity-networks` asks them again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from stemline.models import installation
from stemline.models.loading import load_engine
from stemline.models.weights import WeightStore
from stemline.separation.engine import LoadedEngine
from stemline.separation.moments import Moments
from stemline.separation.separators import open_separator
from tests.golden import networks
from tests.golden.networks import BINS, FRAMES, HOP, LENGTHS, N_FFT, ROFORMER_LENGTHS, ROFORMER_OVERLAPS

#: `make parity-networks` records into, and compares with, a folder of its own.
DATA = Path(os.environ.get("NETWORKS_DATA") or Path(__file__).parents[2] / "golden/data/networks")
#: Largest difference of a sample.
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(DATA / "networks.npz") as content:
        return dict(content)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> WeightStore:
    """The recorded networks with their cards."""
    folder = tmp_path_factory.mktemp("parity")
    store = WeightStore(folder / "models")
    mdx = f"compensation = {networks.COMPENSATION}\nzeroed_bins = {networks.ZEROED}\n"
    unmix = networks.spectrum_card("unmix", "ratio-mask", ["vocals", "accompaniment"])
    cards = {
        "htdemucs": ("htdemucs-0.onnx", networks.waveform_card("htdemucs")),
        "normalised": ("htdemucs-0.onnx", networks.waveform_card("normalised", "track")),
        "running": ("htdemucs-0.onnx", networks.waveform_card("running", "running")),
        "second": ("htdemucs-1.onnx", networks.waveform_card("second")),
        "mdx": ("mdx.onnx", networks.spectrum_card("mdx", "complex-spectrogram", ["vocals"], mdx)),
        "unmix": ("unmix.onnx", unmix.replace(f"bins = {BINS}", f"bins = {N_FFT // 2 + 1}")),
        "bag": (None, networks.bag_card("htdemucs", "second")),
    }
    for name, (file, text) in cards.items():
        card = folder / f"{name}.toml"
        card.write_text(text)
        assert installation.add(store, card, DATA / file if file else None).name == name
    return store


@pytest.fixture(scope="module")
def loaded(store: WeightStore) -> Callable[[str], LoadedEngine]:
    """Return the engine of a network, which is loaded once."""
    return cache(lambda name: load_engine(name, directory=store.directory, threads=1))


def separated(engine: LoadedEngine, mix: np.ndarray) -> np.ndarray:
    """Return the stems (stems, 2, samples) of a mix that comes in blocks."""
    with open_separator(engine) as separator:
        moments = {rate: Moments().after(mix.T, 0, len(mix)) for rate in separator.moment_rates}
        pieces = list(separator.separate(blocks(mix), moments=moments))
    stems = [np.concatenate([piece[stem] for piece in pieces]).T for stem in engine.network.instruments]
    return np.stack(stems)


def blocks(mix: np.ndarray) -> Iterator[np.ndarray]:
    return (mix[start : start + 1_024] for start in range(0, len(mix), 1_024))


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("name", ["htdemucs", "normalised", "bag", "mdx"])
def test_a_network_separates_as_its_own_code_does(
    loaded: Callable[[str], LoadedEngine], golden: dict[str, np.ndarray], name: str, length: int
) -> None:
    """From one sample to several segments, every stem is the original's to 1e-4."""
    if (name, length) == ("normalised", 1):
        pytest.skip("Demucs divides one sample by the deviation of one sample, which is not a number")
    stems = networks.kept(separated(loaded(name), networks.mix(length)))
    expected = golden[f"{name}/{length}"]
    assert expected.shape == stems.shape
    loudest = np.abs(expected).max()
    assert loudest > 1e-5
    assert np.abs(expected - stems).max() < TOLERANCE * min(1.0, 10 * loudest)


def test_open_unmix_divides_a_segment_as_its_own_code_does(
    loaded: Callable[[str], LoadedEngine], golden: dict[str, np.ndarray]
) -> None:
    """Soft masks of two targets give Open-Unmix's stems of one segment, to 1e-4."""
    engine = loaded("unmix")
    stems = engine.stems(networks.mix(HOP * (FRAMES - 1)).T)  # type: ignore[attr-defined]
    assert np.abs(golden["unmix"] - networks.kept(stems)).max() < TOLERANCE


@pytest.fixture(scope="module")
def roformer(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int], LoadedEngine]:
    """Return the engine of a RoFormer by its kind and the segments that see each sample, loaded once."""

    @cache
    def load(kind: str, overlap: int) -> LoadedEngine:
        folder = tmp_path_factory.mktemp(kind)
        if kind == "waves":
            text, file = networks.roformer_waves_card(kind, overlap), "bs-roformer-waves.onnx"
        else:
            text, file = networks.roformer_card(kind, overlap), f"{kind}-roformer.onnx"
        (folder / "card.toml").write_text(text)
        installation.add(WeightStore(folder / "models"), folder / "card.toml", DATA / file)
        return load_engine(kind, directory=folder / "models", threads=1)

    return load


@pytest.fixture(scope="module")
def roformers() -> dict[str, np.ndarray]:
    with np.load(DATA / "roformers.npz") as content:
        return dict(content)


@pytest.mark.parametrize("kind", ["bs", "mel"])
def test_a_roformer_separates_a_segment_as_its_own_code_does(
    roformer: Callable[[str, int], LoadedEngine], roformers: dict[str, np.ndarray], kind: str
) -> None:
    """Exported between its transforms, a RoFormer gives the stems of audio-separator's code, to 1e-4."""
    mix = networks.mix(networks.ROFORMER_HOP * (networks.ROFORMER_FRAMES - 1)).T
    stems = roformer(kind, 2).stems(mix)  # type: ignore[attr-defined]
    assert np.abs(roformers[kind]).max() > 0.01
    assert np.abs(roformers[kind] - networks.kept(stems)).max() < TOLERANCE


@pytest.mark.parametrize("length", ROFORMER_LENGTHS)
@pytest.mark.parametrize("overlap", ROFORMER_OVERLAPS)
@pytest.mark.parametrize("kind", ["bs", "mel", "waves"])
def test_a_roformer_separates_a_track_as_the_loop_around_it_does(
    roformer: Callable[[str, int], LoadedEngine],
    roformers: dict[str, np.ndarray],
    kind: str,
    overlap: int,
    length: int,
) -> None:
    """From one segment to several, the last of which ends with the track, every stem is audio-separator's.

    `waves` is the first of the two networks, exported from samples to samples.
    """
    expected = roformers[f"{'bs' if kind == 'waves' else kind}/{overlap}/{length}"]
    stems = networks.kept(separated(roformer(kind, overlap), networks.mix(length)))
    assert np.abs(expected).max() > 0.01
    assert np.abs(expected - stems).max() < TOLERANCE


def test_a_running_normalisation_is_near_that_of_the_track(loaded: Callable[[str], LoadedEngine]) -> None:
    """htdemucs normalises each segment itself: what it is given hardly matters (docs/models.md)."""
    mix = networks.mix(30_000)
    whole, running = separated(loaded("normalised"), mix), separated(loaded("running"), mix)
    assert 20 * np.log10(np.abs(whole - running).max() / np.abs(whole).max()) < -40
