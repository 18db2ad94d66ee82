"""Every codec in every container with every arrangement of streams, beside what `ffmpeg` decodes of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stemline.separation.media import MediaLimits, open_audio
from tests.ffmpeg_files import FRAMES, Made, Workshop, signal
from tests.media_formats import BY_SUFFIX, PAUSE_S, RATE

pytestmark = pytest.mark.slow

LIMITS = MediaLimits(max_duration_s=3600, max_bytes=10**9)
#: Samples that are compared at the start, and at the end, of what is decoded.
_COMPARED = 15_000
#: By how much a time stamp of a container that counts milliseconds may be off, in samples.
_TICK = RATE // 1000
#: Formats whose padding FFmpeg 5, which makes the files, leaves in and today's FFmpeg removes.
_TRIMMED = frozenset({"m4a", "mp4", "mov", "fmp4", "3gp"})
#: Most samples that encoders add: delay before, and the rest of a frame behind (FFmpeg's own: mp3 1,105 and
#: 1,152, aac 1,024 of each, ac3 256 and 1,536; wma writes less than it is given).
_PADDING = {"libmp3lame": 1105 + 1152, "aac": 2048, "ac3": 256 + 1536, "eac3": 256 + 1536, "mp2": 481 + 1152}
_PADDING |= {"libvorbis": 64, "libopus": 960, "libspeex": 960, "wmav1": 0, "wmav2": 0}
_PADDING |= {"adpcm_ms": 2048, "adpcm_ima_wav": 2048}
#: What of it an index of mp4 declares as sound: ac3 in full; of late audio, whose index has no place for it,
#: the delay, and of fragments that begin before it is known.
_DECLARED = {"ac3": 256, "libmp3lame": _TICK}
_DELAYS = {"aac": 1024, "libmp3lame": 1105, "ac3": 256}


def max_padding(file: Made) -> int:
    """Return how many samples more than the sound a file may have."""
    if file.kind.suffix in _TRIMMED:
        is_unknown = file.arrangement == "late" or file.kind.suffix == "fmp4"
        delay = _DELAYS.get(file.kind.codec, 0) if is_unknown else 0
        return _DECLARED.get(file.kind.codec, 1) + delay + 1
    return _PADDING.get(file.kind.codec, 1)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """The inputs, and a folder for files."""
    if shutil.which("ffmpeg") is None:
        pytest.fail("These tests need the ffmpeg command (.ci/packages.txt).")
    return Workshop(tmp_path_factory.mktemp("media"))


def read(path: Path) -> NDArray[np.float32]:
    with open_audio(path, limits=LIMITS) as audio:
        return np.concatenate(list(audio))


def lag(heard: NDArray[np.float32], truth: NDArray[np.float32]) -> int:
    """Return by how many samples `heard` is late, by the peak of the cross-correlation."""
    size = 1 << (2 * max(len(heard), len(truth))).bit_length()
    spectrum = np.fft.rfft(heard[:, 0], size) * np.conj(np.fft.rfft(truth[:, 0], size))
    peak = int(np.fft.irfft(spectrum, size).argmax())
    return peak - size if peak > size // 2 else peak


@pytest.mark.parametrize("suffix", BY_SUFFIX)
def test_every_codec_and_every_arrangement_of_a_container(suffix: str, workshop: Workshop):
    """Each codec alone, and each arrangement with one codec, is read as ffmpeg reads it."""
    first, *others = BY_SUFFIX[suffix]
    files = [*workshop.make([first]), *(workshop.make(others, "plain") if others else [])]
    assert {first, *others} == {file.kind for file in files if file.arrangement == "plain"}
    compare(files, suffix, workshop)


@pytest.mark.thorough
@pytest.mark.parametrize("suffix", [suffix for suffix, kinds in BY_SUFFIX.items() if len(kinds) > 1])
def test_every_arrangement_with_every_codec(suffix: str, workshop: Workshop):
    """All codecs of a container in all arrangements are read as ffmpeg reads them."""
    files = workshop.make(BY_SUFFIX[suffix][1:])
    assert "plain" in {file.arrangement for file in files}
    compare(files, suffix, workshop)


def compare(files: list[Made], suffix: str, workshop: Workshop) -> None:
    """Whatever surrounds it, audio has ffmpeg's samples in ffmpeg's places, and pauses where they were."""
    for file, decoded in workshop.decode(files):
        heard = read(file.path)
        is_paused = file.arrangement in {"pause", "muted"}
        pause = PAUSE_S * RATE if is_paused else 0
        longest = FRAMES + pause + max_padding(file) + (_TICK if is_paused else 0)
        assert len(heard) <= longest, (file.name, len(heard) - longest)
        truth = decoded[: max(len(heard) - pause, FRAMES)] if suffix in _TRIMMED else decoded
        assert abs(len(heard) - len(truth) - pause) <= (_TICK if is_paused else 1), file.name
        assert lag(heard[:_COMPARED], truth[:_COMPARED]) == 0, file.name
        assert abs(lag(heard[-_COMPARED:], truth[-_COMPARED:])) <= (_TICK if is_paused else 1), file.name
        if file.kind.lossless and not is_paused:
            assert np.abs(heard[:FRAMES] - signal()).max() <= 1 / 32768, file.name
        if is_paused:
            silent = np.flatnonzero(np.abs(heard).max(axis=1) < 1e-4)
            assert len(silent) >= pause - 3000, file.name
