"""Loud tones through lossy encoders."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from stemline.separation.media import MediaLimits, OutputSpec, SourceInfo, StemWriter, aac, open_audio
from stemline.testing import stems

_LIMITS = MediaLimits(max_duration_s=60, max_bytes=1 << 30)
_SOURCE = SourceInfo("pcm_s16le", 44_100, 2, None, "wav", 3.0)
#: Highest energy of the error relative to the stem, dB, at 128, 192 and 320 kbit/s.
_MAX_ERROR_DB = {"sine at full scale": -20.0, "808 bass": -30.0, "sparse notes": -30.0, "chord": -15.0}


def _write(path: Path, samples: np.ndarray, kbps: int) -> None:
    writer = StemWriter(OutputSpec(path, "aac", bitrate_kbps=kbps), tags={}, source=_SOURCE)
    for at in range(0, len(samples), 50_000):
        writer.write(samples[at : at + 50_000])
    writer.close()


def _through_aac(path: Path, samples: np.ndarray, kbps: int) -> np.ndarray:
    """Return what is read back, late by one frame."""
    _write(path, samples, kbps)
    with open_audio(path, limits=_LIMITS) as audio:
        return np.concatenate(list(audio))


def _error_db(path: Path, kind: str, kbps: int) -> float:
    """Return the energy of the coding error relative to the stem, dB."""
    samples = stems.KINDS[kind](3.0)
    heard = _through_aac(path, samples, kbps)[1024 : 1024 + len(samples)]
    truth = samples[: len(heard)].astype(np.float64)
    return float(10 * np.log10(((heard - truth) ** 2).sum() / (truth**2).sum()))


def _frame_errors(heard: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """Return the energy of the error in each frame of 1,024 samples."""
    length = len(samples) // 1024 * 1024
    errors = np.square(heard[1024 : 1024 + length] - samples[:length], dtype=np.float64)
    return errors.reshape(-1, 1024 * 2).sum(axis=1)


@pytest.mark.parametrize("kbps", [128, 192, 320])
@pytest.mark.parametrize("kind", _MAX_ERROR_DB)
def test_aac_keeps_tonal_and_sparse_stems(tmp_path: Path, kind: str, kbps: int) -> None:
    """At 128 kbit/s and above, the error of aac stays well below a tonal or sparse stem."""
    assert _error_db(tmp_path / "stem.aac", kind, kbps) < _MAX_ERROR_DB[kind]


@pytest.mark.parametrize("kind", ["chord", "sparse notes"])
def test_high_bitrates_keep_sustained_and_quiet_tones(tmp_path: Path, kind: str) -> None:
    """At 320 kbit/s the coder that keeps such tones best is used: the thorough one is off by -48 dB."""
    assert _error_db(tmp_path / "stem.aac", kind, 320) < -55.0


def test_fast_coder_would_fail(tmp_path: Path) -> None:
    """The fast coder, which is not used, exceeds the limits: it is off by 8 dB on a sine at full scale."""
    with patch.object(aac, "THOROUGH", aac.FAST):
        error = _error_db(tmp_path / "stem.aac", "sine at full scale", 192)
    assert error > _MAX_ERROR_DB["sine at full scale"]


@pytest.mark.parametrize("kind", ["sine at full scale", "transients", "dense"])
def test_stretches_are_joined_without_a_trace(tmp_path: Path, kind: str, monkeypatch) -> None:
    """Stretches that are encoded apart have the frames of one encoder, in number, size and fidelity."""
    samples = stems.KINDS[kind](6.0)
    errors = []
    for stretch in (10_000, 64):
        monkeypatch.setattr(aac, "STRETCH_FRAMES", stretch)
        heard = _through_aac(tmp_path / "stem.aac", samples, 128)
        errors.append(_frame_errors(heard, samples))
    whole, joined = errors
    assert len(whole) == len(joined)
    joins = [at + step for at in range(64, len(joined) - 2, 64) for step in (-1, 0, 1)]
    # The rate control of two encoders differs a little; windows that do not fit would cost over 10 dB.
    assert 10 * np.log10(joined[joins].sum() / whole[joins].sum()) < 2.0


def test_equal_bytes_on_any_number_of_processors(tmp_path: Path, monkeypatch) -> None:
    """A stem's bytes do not depend on how many stretches are encoded at the same time."""
    samples = stems.KINDS["dense"](6.0)
    monkeypatch.setattr(aac, "STRETCH_FRAMES", 64)
    contents = []
    for cpus in (1, 3):
        monkeypatch.setattr(aac, "available_cpus", lambda cpus=cpus: cpus)
        _write(tmp_path / "stem.aac", samples, 128)
        contents.append((tmp_path / "stem.aac").read_bytes())
    assert contents[0] == contents[1]


@pytest.mark.parametrize("frames", [1, 1023, 1024, 64 * 1024, 65 * 1024, 65 * 1024 + 1, 66 * 1024, 200_000])
def test_every_length_has_all_its_frames(tmp_path: Path, frames: int, monkeypatch) -> None:
    """A stem of any length, also at the border of a stretch, has the frames of one encoder."""
    samples = stems.KINDS["dense"](5.0)[:frames]
    lengths = []
    for stretch in (10_000, 64):
        monkeypatch.setattr(aac, "STRETCH_FRAMES", stretch)
        lengths.append(len(_through_aac(tmp_path / "stem.aac", samples, 128)))
    assert lengths[0] == lengths[1] >= frames + 1024
