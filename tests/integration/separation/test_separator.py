"""The streaming separator: with the real 2-stem weights, and with masks of a rule where any will do."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from stemline.models.catalogue import MODELS
from stemline.separation import stft
from stemline.separation.engine import Engine
from stemline.separation.errors import OptionError
from stemline.separation.extension import Extension
from stemline.separation.network import FRAME, HOP, NETWORK_BINS, SEGMENT_FRAMES
from stemline.separation.separator import Separator
from stemline.testing.processes import eventually
from tests.golden import song
from tests.support.engines import LoudnessMasks, mask_engine
from tests.support.rounds import rounds

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def engine(weights_2stems) -> Engine:
    return mask_engine("2stems")


@pytest.fixture(scope="module")
def any_masks() -> LoudnessMasks:
    return LoudnessMasks()


@pytest.fixture(scope="module")
def mix() -> np.ndarray:
    return song.mix(song.stems(24.5, seed=4))


def joined(pieces) -> dict[str, np.ndarray]:
    pieces = list(pieces)
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def blocks(signal: np.ndarray, size: int = 32_768):
    return (signal[start : start + size] for start in range(0, len(signal), size))


def whole(engine: Engine, mix: np.ndarray) -> np.ndarray:
    """The first stem as the definition says it, over the whole signal at once."""
    frames = -(-(len(mix) + FRAME) // HOP)
    padded = np.zeros((2, stft.span(frames)), np.float32)
    padded[:, FRAME : FRAME + len(mix)] = mix.T
    spectrum = stft.forward(padded)
    magnitude = stft.magnitude(spectrum)
    mask = np.zeros_like(magnitude)
    for start in range(0, frames, SEGMENT_FRAMES):
        segment = np.zeros((2, SEGMENT_FRAMES, magnitude.shape[2]), np.float32)
        part = magnitude[:, start : start + SEGMENT_FRAMES]
        segment[:, : part.shape[1]] = part
        mask[:, start : start + SEGMENT_FRAMES] = engine.masks(segment)[0][:, : part.shape[1]]
    stem = stft.share(padded, spectrum[..., :NETWORK_BINS], mask, Extension.AVERAGE.share(mask))
    return stem[:, FRAME : FRAME + len(mix)].T


def test_a_stream_equals_the_whole(engine: Engine, mix: np.ndarray) -> None:
    """A stream in blocks of any size gives the result of the whole signal at once, to 1e-5.

    The whole signal is transformed by numpy, whose rounding differs from that of compiled transforms; of what
    both round, the network makes some 4e-6.
    """
    expected = whole(engine, mix)
    with Separator(engine) as separator:
        for size in (999, 400_000, len(mix)):
            stems = joined(separator.separate(blocks(mix, size)))
            assert np.abs(expected - stems["vocals"]).max() <= 1e-5


@pytest.mark.parametrize("samples", [1, 1024, 523_264, 523_265, 527_360, 700_001])
def test_stems_have_the_length_of_the_source(any_masks: LoudnessMasks, mix: np.ndarray, samples: int) -> None:
    """Each stem has exactly as many samples as went in, at the edges of segments too."""
    with Separator(any_masks) as separator:
        stems = joined(separator.separate(blocks(mix[:samples])))
    assert dict.fromkeys(MODELS["2stems"].instruments, (samples, 2)) == {
        name: stem.shape for name, stem in stems.items()
    }


@pytest.mark.parametrize(
    "options", [{}, {"context": 64}, {"refine": True}, {"extension": Extension.UPPER}], ids=str
)
def test_stems_add_up_to_the_mix(any_masks: LoudnessMasks, mix: np.ndarray, options: dict[str, Any]) -> None:
    """Unless something is silenced, the residual of the sum is at most -90 dB under the mix's full scale."""
    with Separator(any_masks, **options) as separator:
        stems = joined(separator.separate(blocks(mix)))
    residual = np.sum(list(stems.values()), axis=0) - mix
    assert 20 * np.log10(np.sqrt(np.mean(residual**2)) + 1e-12) <= -90


def test_the_rest_is_what_its_own_mask_would_give(any_masks: LoudnessMasks, mix: np.ndarray) -> None:
    """The last stem, made by subtraction, equals the one made by its own mask."""
    with Separator(any_masks) as separator:
        both = joined(separator.separate(blocks(mix)))
        alone = joined(separator.separate(blocks(mix), instruments=["accompaniment"]))
    assert np.abs(both["accompaniment"] - alone["accompaniment"]).max() < 5e-6


def test_refined_stems_differ_little(engine: Engine, mix: np.ndarray) -> None:
    """The Wiener filter keeps what the networks found: what it changes is a tenth of a stem at most."""
    with Separator(engine) as separator:
        plain = joined(separator.separate(blocks(mix)))["accompaniment"]
    with Separator(engine, refine=True) as separator:
        refined = joined(separator.separate(blocks(mix), instruments=["accompaniment"]))["accompaniment"]
    changed = np.square(refined - plain).sum() / np.square(plain).sum()
    assert 1e-6 < changed < 0.1


def test_an_impulse_stays_where_it_is(engine: Engine) -> None:
    """A click keeps its position in its stem, and in the sum of the stems."""
    mix = np.zeros((600_000, 2), np.float32)
    places = (10, 44_100, 523_264, 599_990)
    for place in places:
        mix[place] = 0.9
    with Separator(engine, extension=Extension.AVERAGE) as separator:
        stems = joined(separator.separate(blocks(mix)))
    for place in places:
        around = slice(max(0, place - 3000), place + 3000)
        loudest = max(stems.values(), key=lambda stem: np.abs(stem[around]).max())
        assert place == max(0, place - 3000) + int(np.abs(loudest[around, 0]).argmax())


def test_zeros_extension_leaves_nothing_above_11_khz(engine: Engine, mix: np.ndarray) -> None:
    """Spleeter's own extension cuts what the networks do not see; the default keeps it."""
    energies = {}
    for extension in Extension:
        with Separator(engine, extension=extension) as separator:
            stem = joined(separator.separate(blocks(mix[: 10 * 44_100])))["accompaniment"]
        spectrum = np.abs(np.fft.rfft(stem[:, 0])) ** 2
        energies[extension] = spectrum[int(len(spectrum) * 12_000 / 22_050) :].sum() / spectrum.sum()
    assert energies[Extension.ZEROS] < 1e-6
    assert energies[Extension.AVERAGE] > 1e-4


@pytest.mark.slow
def test_many_songs_through_one_warm_separator(engine: Engine) -> None:
    """One after another and concurrently, each result has the tone of its own input."""
    count, rng = rounds(12, 200), np.random.default_rng(11)
    lengths = rng.integers(2_000, 40_000, count)
    tones = rng.permutation(np.linspace(200.0, 8_000.0, count))

    def sung(number: int) -> np.ndarray:
        tone = 0.4 * np.sin(2 * np.pi * tones[number] / 44_100 * np.arange(lengths[number]))
        return np.stack([tone, tone], axis=1).astype(np.float32)

    with Separator(engine) as separator, ThreadPoolExecutor(2) as pool:
        songs = (sung(number) for number in range(count))
        results = list(pool.map(lambda song: joined(separator.separate(blocks(song, 8_192))), songs))
        assert len(results) == count
        for number, stems in enumerate(results):
            mix = sung(number)
            loudest = max(stems.values(), key=lambda stem: np.abs(stem).sum())
            window = np.hanning(len(mix))
            pitch = np.abs(np.fft.rfft(loudest[:, 0] * window, 1 << 17)).argmax() * 44_100 / (1 << 17)
            assert all(mix.shape == stem.shape for stem in stems.values())
            assert abs(tones[number] - pitch) < 19.0  # less than half of the distance between two songs
            assert np.abs(sum(stems.values()) - mix).max() < 1e-5


def test_leaving_early_leaves_no_work_behind(any_masks: LoudnessMasks, mix: np.ndarray) -> None:
    """A consumer may stop after the first piece, and the next stream is complete."""
    with Separator(any_masks) as separator:
        pieces = separator.separate(blocks(mix))
        next(pieces)
        pieces.close()
        assert len(mix) == len(joined(separator.separate(blocks(mix)))["vocals"])


def test_closing_ends_the_threads(any_masks: LoudnessMasks, mix: np.ndarray) -> None:
    """A closed separator leaves no thread behind."""
    before = set(threading.enumerate())
    with Separator(any_masks) as separator:
        joined(separator.separate(blocks(mix[:50_000])))
    assert eventually(lambda: set(threading.enumerate()) <= before, 180, "the end of the threads")


def test_an_unknown_stem_is_an_error(any_masks: LoudnessMasks) -> None:
    """A stem that the model does not have is refused by name."""
    with Separator(any_masks) as separator, pytest.raises(OptionError, match="piano"):
        list(separator.separate([np.zeros((10, 2), np.float32)], instruments=["piano"]))
