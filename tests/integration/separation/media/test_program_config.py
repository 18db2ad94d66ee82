"""AAC whose layout has no number, so that the file lists its channels (program config element)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stemline.separation.media import MediaLimits, open_audio
from tests.ffmpeg_files import ffmpeg

pytestmark = pytest.mark.slow

LIMITS = MediaLimits(max_duration_s=60, max_bytes=10**8)
RATE = 44_100
#: Of a quarter of a second of sound, what is compared.
PART = slice(4_410, 8_820)


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        ("3.1", [(1, 0), (0, 1), (0.707, 0.707), (0, 0)]),
        ("quad(side)", [(1, 0), (0, 1), (0.707, 0), (0, 0.707)]),
        ("7.0", [(1, 0), (0, 1), (0.707, 0.707), *2 * [(0.707, 0), (0, 0.707)]]),
    ],
)
def test_channels_go_where_the_file_lists_them(
    tmp_path: Path, layout: str, expected: list[tuple[float, float]]
):
    """A tone in each channel comes out on the sides, and as loud, as its place asks, in every container."""
    tones = "|".join(f"0.2*sin(2*PI*{300 * (number + 1)}*t)" for number in range(len(expected)))
    source = f"aevalsrc='{tones}':s={RATE}:d=0.25:c={layout}"
    files = ["in.m4a", "in.aac", "in.ts", "in.mkv"]
    ffmpeg(tmp_path, "-f", "lavfi", "-i", source, "-c:a", "aac", "-b:a", "480k", "in.m4a")
    copies = [word for name in files[1:] for word in ("-c", "copy", name)]
    ffmpeg(tmp_path, "-i", "in.m4a", *copies, "-c", "copy", "-f", "latm", "in.loas")
    wanted = np.array(expected) / np.sum(expected, axis=0).max()
    times = np.arange(PART.stop - PART.start) / RATE
    for name in [*files, "in.loas"]:
        with open_audio(tmp_path / name, limits=LIMITS) as audio:
            heard = np.concatenate(list(audio))[PART]
        waves = np.exp(-2j * np.pi * 300 * np.outer(np.arange(1, len(wanted) + 1), times))
        loud = np.abs(waves @ heard / len(times)) / 0.1
        assert np.abs(loud - wanted).max() < 0.06, name
