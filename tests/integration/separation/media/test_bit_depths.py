"""Stems in 16, 24 and 32 bits: what is clipped, what is reported, and what adds up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stemline.separation.errors import OptionError
from stemline.separation.media import (
    EncodedStem,
    MediaLimits,
    OutputSpec,
    SourceInfo,
    StemWriter,
    media_info,
    open_audio,
)
from stemline.testing import stems

_LIMITS = MediaLimits(max_duration_s=60, max_bytes=1 << 30)
_SOURCE = SourceInfo("pcm_s16le", 44_100, 2, None, "wav", 3.0)
_DEPTHS = [("wav", 16), ("wav", 24), ("wav", 32), ("flac", 16), ("flac", 24)]


def _write(path: Path, samples: np.ndarray, bit_depth: int | None, codec: str = "") -> EncodedStem:
    spec = OutputSpec(path, codec or path.suffix[1:], bit_depth=bit_depth)
    writer = StemWriter(spec, tags={}, source=_SOURCE)
    for block in np.array_split(samples.astype(np.float32), 5):
        writer.write(block)
    return writer.close()


def _read(path: Path) -> np.ndarray:
    with open_audio(path, limits=_LIMITS) as audio:
        return np.concatenate(list(audio)).astype(np.float64)


@pytest.mark.parametrize(("codec", "bits"), _DEPTHS)
def test_error_is_half_a_step(tmp_path: Path, codec: str, bits: int) -> None:
    """What is read back differs by at most half a step of the depth; 32 bits are exact."""
    samples = 0.9 * stems.dense(2.0)
    stem = _write(tmp_path / f"stem.{codec}", samples, bits)
    step = 0.0 if bits == 32 else 2.0 ** (1 - bits)
    assert np.abs(_read(stem.path) - samples).max() <= step / 2 + 1e-9
    expected = {16: "s16", 24: "s32", 32: "flt"}[bits]
    assert stem.media_info.audio.sample_format == expected


@pytest.mark.parametrize(("codec", "bits"), [each for each in _DEPTHS if each[0] == "wav"])
@pytest.mark.parametrize("seconds", [0.001, 2.0])
def test_the_header_of_a_stem_says_all(tmp_path: Path, codec: str, bits: int, seconds: float) -> None:
    """The properties of a stem, of which the first bytes are read, are those found by reading all of it."""
    stem = _write(tmp_path / f"stem.{codec}", stems.dense(seconds), bits)
    assert stem.media_info == media_info(stem.path)


@pytest.mark.parametrize(("codec", "bits"), [*_DEPTHS, ("mp3", None), ("aac", None)])
def test_clipping_is_reported(tmp_path: Path, codec: str, bits: int | None) -> None:
    """Samples beyond full scale are counted where the file clips them; the peak is that of the stem."""
    samples = 2.0 * stems.sine(2.0)
    stem = _write(tmp_path / f"stem.{codec}", samples, bits)
    over = int((np.abs(samples.astype(np.float32)) > 1).sum())
    assert stem.levels.clipped == (0 if bits == 32 else over)
    assert stem.levels.peak_db == pytest.approx(6.0, abs=0.05)
    assert stem.levels.loudness_lufs == pytest.approx(6.0, abs=0.1)
    if bits == 32:
        assert np.abs(_read(stem.path) - samples).max() == 0


def test_float_stems_add_up_to_a_mix_beyond_full_scale(tmp_path: Path) -> None:
    """Float stems of a mix that peaks at 2.0 add up to it; the same stems in 16 bits cannot."""
    mix = (2.0 * stems.sine(1.0)).astype(np.float32)
    voice = np.float32(0.75) * mix
    parts = {"voice": voice, "rest": mix - voice}
    files = [_write(tmp_path / f"{name}.wav", part, 32) for name, part in parts.items()]
    assert np.abs(sum(_read(file.path) for file in files) - mix).max() < 1e-6
    files = [_write(tmp_path / f"{name}-16.wav", part, 16) for name, part in parts.items()]
    assert np.abs(sum(_read(file.path) for file in files) - mix).max() > 0.4


def test_silence_has_no_levels(tmp_path: Path) -> None:
    """A silent stem has neither peak nor loudness."""
    levels = _write(tmp_path / "stem.wav", np.zeros((44_100, 2)), 24).levels
    assert (levels.peak_db, levels.clipped, levels.loudness_lufs) == (None, 0, None)


@pytest.mark.parametrize(("codec", "bits"), [("flac", 32), ("mp3", 24), ("aac", 24), ("amr", 32), ("wav", 8)])
def test_other_depths_are_refused(tmp_path: Path, codec: str, bits: int) -> None:
    """A depth that the codec cannot hold is refused before anything is written."""
    with pytest.raises(OptionError, match=f"{codec} cannot be written with {bits} bits"):
        _write(tmp_path / f"stem.{codec}", stems.sine(0.1), bits)
