"""Networks of other sample rates than 44.1 kHz: their stems have the length and the place of the source."""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from stemline.models import installation, library
from stemline.models.cost import cost_of
from stemline.models.loading import load_engine
from stemline.models.weights import WeightStore
from stemline.separation.errors import EmptyAudio, NonFiniteAudio
from stemline.separation.separators import measured, open_separator
from tests.support.networks import HEAD, WAVEFORM, card, scaling, squashing

SAMPLES = 2_000
FACTORS = (0.1, 0.2, 0.3, 0.4)
RATES = (8_000, 11_025, 16_000, 22_050, 32_000, 44_099, 48_000, 96_000)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> WeightStore:
    """One network for each rate, and two ensembles of different rates."""
    folder = tmp_path_factory.mktemp("rates")
    store = WeightStore(folder / "models")

    def add(name: str, network: Path, rate: int, options: str = "") -> None:
        text = card(
            folder / "card.toml", WAVEFORM, name=name, samples=SAMPLES, options=f"rate = {rate}\n{options}"
        )
        installation.add(store, text, network)

    scales = scaling(folder / "scaling.onnx", (2, SAMPLES), FACTORS)
    for rate in (*RATES, 44_100):
        add(f"at-{rate}", scales, rate)
    bends = squashing(folder / "squashing.onnx", (2, SAMPLES), FACTORS)
    for rate in (44_100, 16_000):
        add(f"track-{rate}", bends, rate, 'normalisation = "track"')
    for name, members in (("both", ("at-16000", "at-44100")), ("tracks", ("track-16000", "track-44100"))):
        text = "".join(f'[[members]]\nmodel = "{member}"\n' for member in members)
        (folder / "card.toml").write_text(
            f'name = "{name}"\nkind = "ensemble"\nstems = ["vocals"]\n{HEAD}\n{text}'
        )
        installation.add(store, folder / "card.toml", None)
    return store


def separated(
    store: WeightStore, name: str, mix: np.ndarray, size: int = 700, stems: tuple[str, ...] | None = None
) -> dict[str, np.ndarray]:
    engine = load_engine(name, directory=store.directory, threads=2)

    def blocks() -> Generator[np.ndarray]:
        return (mix[start : start + size] for start in range(0, len(mix), size))

    with open_separator(engine) as separator:
        moments = measured(separator, lambda: closing(blocks()), None)
        pieces = list(separator.separate(blocks(), instruments=stems, moments=moments))
    return {stem: np.concatenate([piece[stem] for piece in pieces]) for stem in pieces[0]}


def tone(samples: int, frequency: float) -> np.ndarray:
    """Return a tone that swells and fades, another one on the right."""
    time = np.arange(samples) - samples / 2
    swell = np.exp(-((time / (samples / 12)) ** 2))
    left = swell * np.cos(2 * math.pi * frequency / 44_100 * time)
    right = swell * np.sin(2 * math.pi * frequency / 44_100 * time)
    return np.stack([left, right], axis=1).astype(np.float32)


@pytest.mark.parametrize("rate", RATES)
def test_stems_have_the_place_of_the_source(store: WeightStore, rate: int) -> None:
    """A tone that the rate can carry comes back sample by sample where it was, from several segments."""
    mix = tone(30_011, 1_000)
    stems = separated(store, f"at-{rate}", mix)
    for name, factor in zip(("drums", "bass", "other", "vocals"), FACTORS, strict=True):
        assert np.abs(stems[name] - np.float32(factor) * mix).max() < 1e-5


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("samples", [1, 2, 3, 5, 6, 7, 499, 2_000, 2_001, 9_999])
def test_stems_have_the_length_of_the_source(store: WeightStore, rate: int, samples: int) -> None:
    """From one sample on every stem is as long as the source, and a rest adds up to it with the others."""
    mix = np.random.default_rng(1).standard_normal((samples, 2), dtype=np.float32) * np.float32(0.2)
    stems = separated(store, f"at-{rate}", mix, stems=("vocals", "accompaniment"))
    assert {len(stem) for stem in stems.values()} == {samples}
    assert np.abs(stems["vocals"] + stems["accompaniment"] - mix).max() < 1e-6


def test_a_rest_keeps_what_the_rate_cannot_carry(store: WeightStore) -> None:
    """What lies above the network's highest frequency is in no stem of the network, and whole in the rest."""
    mix = tone(20_000, 12_000)
    stems = separated(store, "at-16000", mix)
    assert np.abs(stems["vocals"]).max() < 1e-4
    assert np.abs(stems["accompaniment"] - mix).max() < 1e-4


@pytest.mark.parametrize("size", [1, 37, 100_000])
def test_a_stream_equals_the_whole(store: WeightStore, size: int) -> None:
    """How a source is cut into blocks changes no stem."""
    mix = tone(6_000, 700)
    whole, stream = separated(store, "at-48000", mix), separated(store, "at-48000", mix, size)
    assert max(float(np.abs(whole[name] - stream[name]).max()) for name in whole) < 1e-6


@pytest.mark.parametrize("name", ["both", "tracks"])
def test_an_ensemble_of_several_rates_is_the_average(store: WeightStore, name: str) -> None:
    """Each member of an ensemble runs at its own rate, and is normalised by the moments at it."""
    mix = tone(12_345, 1_500) + np.float32(0.1)
    members = {"both": ("at-16000", "at-44100"), "tracks": ("track-16000", "track-44100")}[name]
    expected = sum(separated(store, member, mix)["vocals"] for member in members) / 2
    assert np.abs(separated(store, name, mix)["vocals"] - expected).max() < 1e-6


def test_a_track_is_normalised_at_the_rate_of_its_network(store: WeightStore) -> None:
    """Loud sound that a network does not hear does not change what it makes of the rest."""
    low, high = tone(40_000, 500), tone(40_000, 15_000)
    alone = separated(store, "track-16000", low)["vocals"]
    beside = separated(store, "track-16000", low + 3 * high)["vocals"]
    assert np.abs(alone).max() > 0.05
    assert np.abs(alone - beside).max() < 1e-3


@pytest.mark.parametrize(
    ("mix", "error"),
    [
        (np.zeros((0, 2), np.float32), EmptyAudio),
        (np.full((3_000, 2), np.nan, np.float32), NonFiniteAudio),
        (np.full((3_000, 2), np.inf, np.float32), NonFiniteAudio),
    ],
)
def test_what_is_no_audio_is_an_error(store: WeightStore, mix: np.ndarray, error: type[Exception]) -> None:
    """An empty stream and samples that are no numbers are refused as at 44.1 kHz."""
    with pytest.raises(error):
        separated(store, "at-16000", mix)


def test_a_cost_is_that_of_a_second_at_the_rate(store: WeightStore) -> None:
    """A network of a higher rate runs more often for a second of audio."""
    slow, fast = (cost_of(library.card_named(f"at-{rate}", store), store) for rate in (48_000, 96_000))
    assert slow.segment_s == 2 * fast.segment_s
