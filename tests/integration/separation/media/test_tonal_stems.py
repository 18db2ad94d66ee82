"""Loud tones through lossy encoders."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from stemline.separation.media import MediaLimits, OutputSpec, SourceInfo, StemWriter, codecs, open_audio
from stemline.testing import stems

_LIMITS = MediaLimits(max_duration_s=60, max_bytes=1 << 30)
_SOURCE = SourceInfo("pcm_s16le", 44_100, 2, None, "wav", 3.0)
#: Highest energy of the error relative to the stem, dB, at 128, 192 and 320 kbit/s.
_MOST_ERROR_DB = {"sine at full scale": -20.0, "808 bass": -30.0, "sparse notes": -30.0, "chord": -15.0}


def _error_db(path: Path, kind: str, kbps: int) -> float:
    """Return the energy of the coding error relative to the stem, dB."""
    samples = stems.KINDS[kind](3.0)
    writer = StemWriter(OutputSpec(path, "aac", bitrate_kbps=kbps), tags={}, source=_SOURCE)
    writer.write(samples)
    writer.close()
    with open_audio(path, limits=_LIMITS) as audio:
        heard = np.concatenate(list(audio))[1024 : 1024 + len(samples)]  # late by one frame
    truth = samples[: len(heard)].astype(np.float64)
    return float(10 * np.log10(((heard - truth) ** 2).sum() / (truth**2).sum()))


@pytest.mark.parametrize("kbps", [128, 192, 320])
@pytest.mark.parametrize("kind", _MOST_ERROR_DB)
def test_aac_keeps_tonal_and_sparse_stems(tmp_path: Path, kind: str, kbps: int) -> None:
    """At 128 kbit/s and above, the error of aac stays well below a tonal or sparse stem."""
    assert _error_db(tmp_path / "stem.aac", kind, kbps) < _MOST_ERROR_DB[kind]


def test_fast_coder_would_fail(tmp_path: Path) -> None:
    """The limits above tell the fast coder from the one in use: it is off by 8 dB on a sine at full scale."""
    fast = replace(codecs.CODECS["aac"], encoder_options={"aac_coder": "fast"})
    with patch.dict(codecs.CODECS, aac=fast):
        error = _error_db(tmp_path / "stem.aac", "sine at full scale", 192)
    assert error > _MOST_ERROR_DB["sine at full scale"]
