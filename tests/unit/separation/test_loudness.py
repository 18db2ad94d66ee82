"""Loudness of streams, by the compiled library and by FFmpeg."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from stemline.separation.loudness import FFmpegLoudness, LoudnessMeter, NativeLoudness, loudness_meter
from stemline.separation.native.library import SETS, find
from stemline.separation.native.loudness import NativeWeighting
from stemline.testing import stems
from tests.conftest import missing

Make = Callable[[int], LoudnessMeter]


def weighting(instructions: str, channels: int) -> NativeWeighting:
    """The weighting of one instruction set."""
    found = find("auto")
    if found.library is None:
        missing("what the build compiles")
    if SETS.index(instructions) > SETS.index(found.instructions):
        pytest.skip(f"this processor has no {instructions}")
    library = find(instructions).library
    assert library is not None
    return NativeWeighting(library, stems.RATE, channels)


@pytest.fixture(params=["ffmpeg", *SETS])
def meter(request: pytest.FixtureRequest) -> Make:
    """What makes a meter for so many channels."""
    if request.param == "ffmpeg":
        return lambda channels: FFmpegLoudness(stems.RATE, channels)
    return lambda channels: NativeLoudness(weighting(request.param, channels))


def loudness(meter: LoudnessMeter, samples: np.ndarray, parts: int = 7) -> float | None:
    for block in np.array_split(samples.astype(np.float32), parts):
        meter.feed(block)
    return meter.finish()


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("kind", stems.KINDS)
def test_loudness_agrees_with_pyloudnorm(meter: Make, kind: str, channels: int) -> None:
    """The loudness of every kind of stem, fed in blocks of any size, is pyloudnorm's within 0.1 LU."""
    import pyloudnorm  # type: ignore[import-untyped]  # it takes long to import

    samples = stems.KINDS[kind](6.0)[:, :channels]
    expected = pyloudnorm.Meter(stems.RATE).integrated_loudness(samples)
    assert loudness(meter(channels), samples) == pytest.approx(expected, abs=0.1)


def changing(seconds: float = 8.0) -> np.ndarray:
    """Noise whose parts are 12, 30 and 90 dB below the loudest one."""
    noise = np.random.default_rng(1).standard_normal((round(seconds * stems.RATE), 2)) * 0.1
    levels_db = np.repeat([0, -12, -30, -90, 0, -12, -30, -90], -(-len(noise) // 8))[: len(noise)]
    return noise * 10 ** (levels_db[:, np.newaxis] / 20)


@pytest.mark.parametrize("instructions", SETS)
def test_both_gates_are_those_of_ffmpeg(instructions: str) -> None:
    """What is silent, and what is far below the mean, does not count."""
    expected = loudness(FFmpegLoudness(stems.RATE, 2), changing())
    assert expected is not None
    found = loudness(NativeLoudness(weighting(instructions, 2)), changing())
    assert found == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("samples", [np.zeros((44_100, 2)), stems.sine(0.2), np.zeros((0, 2))])
def test_no_loudness_below_the_gate(meter: Make, samples: np.ndarray) -> None:
    """Silence, and less than one block of 400 ms, have no loudness."""
    assert loudness(meter(2), samples) is None


def test_blocks_of_any_size_give_the_same_energies() -> None:
    """Steps that are complete, and those that are not, go on in the next block."""
    samples = changing(1.0).astype(np.float32)
    at_once = weighting("base", 2).feed(samples)
    for parts in (3, 50, 1_000):
        by_parts = weighting("base", 2)
        found = [by_parts.feed(part) for part in np.array_split(samples, parts)]
        assert at_once.tobytes() == np.concatenate(found).tobytes()
    assert len(at_once) == 10


@pytest.mark.parametrize("instructions", SETS)
def test_silence_is_silent_after_a_sound(instructions: str) -> None:
    """What the filters remember dies away, and leaves none of the numbers that take a processor long."""
    native = weighting(instructions, 2)
    native.feed(changing(0.5).astype(np.float32))
    energies = native.feed(np.zeros((stems.RATE, 2), np.float32))
    assert energies[0] > 0
    assert not energies[6:].any()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_has_no_loudness(value: float) -> None:
    """Such samples are refused elsewhere; the meter goes on without a fault."""
    samples = changing(1.0)
    samples[100] = value  # and, by the filters, all that follows
    assert loudness(NativeLoudness(weighting("base", 2)), samples) is None


def test_louder_than_any_class_is_counted() -> None:
    """The last class takes what is louder than all."""
    noise = np.random.default_rng(1).standard_normal((stems.RATE, 2)) * 0.1
    found, louder = (loudness(NativeLoudness(weighting("base", 2)), noise * scale) for scale in (1, 1e5))
    assert found is not None
    assert louder == pytest.approx(found + 100, abs=0.01)


def test_other_shapes_are_refused() -> None:
    """The library trusts the number of channels."""
    with pytest.raises(ValueError, match="channels"):
        weighting("base", 2).feed(np.zeros((100, 1), np.float32))
    with pytest.raises(ValueError, match="channels"):
        weighting("base", 1).feed(np.zeros(100, np.float32))
    with pytest.raises(ValueError, match="channel"):
        weighting("base", 3)


def test_ffmpeg_is_used_where_nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without compiled kernels the meter is FFmpeg's."""
    monkeypatch.setenv("STEMLINE_KERNELS", "off")
    assert isinstance(loudness_meter(stems.RATE, 2), FFmpegLoudness)
    monkeypatch.setenv("STEMLINE_KERNELS", "auto")
    weighting("base", 2)  # skips where there are none
    assert isinstance(loudness_meter(stems.RATE, 2), NativeLoudness)
