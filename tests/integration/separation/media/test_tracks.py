"""The choice of the audio track, and where the time of the stems begins."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stemline.separation.errors import OptionError
from stemline.separation.media import MediaLimits, open_audio
from tests.ffmpeg_files import FRAMES, Workshop, ffmpeg, signal
from tests.media_formats import FORMATS, OFFSET_S, RATE

pytestmark = pytest.mark.slow

LIMITS = MediaLimits(max_duration_s=3600, max_bytes=10**9)
#: In them languages are written in different ways.
LANGUAGES = tuple(kind for kind in FORMATS if kind.name in {"mkv-flac", "mp4-alac", "m4a-alac", "ts-aac"})
FLAC = tuple(kind for kind in FORMATS if kind.name == "mkv-flac")


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """The inputs, and a folder for files."""
    return Workshop(tmp_path_factory.mktemp("tracks"))


def read(path: Path, track: str | None = None, *, keep_video_origin: bool = False) -> NDArray[np.float32]:
    with open_audio(path, limits=LIMITS, track=track, keep_video_origin=keep_video_origin) as audio:
        return np.concatenate(list(audio))


def is_close(heard: NDArray[np.float32], truth: NDArray[np.float32]) -> bool:
    """Return whether two recordings have more in common than half of their energy."""
    size = 1 << (2 * len(truth)).bit_length()
    spectrum = np.fft.rfft(heard[:, 0], size) * np.conj(np.fft.rfft(truth[:, 0], size))
    return bool(np.fft.irfft(spectrum, size).max() > 0.5 * (truth[:, 0] ** 2).sum())


@pytest.mark.shows("Input, AudioTrack")
def test_a_track_is_chosen(workshop: Workshop):
    """A track is found by its number and by its language, also by the language's other codes."""
    named = (("eng", 0), ("en", 0), ("en-GB", 0), ("deu", 1), ("GER", 1), ("de", 1))
    files = workshop.make(LANGUAGES, "two tracks")
    assert len(files) == 4
    for file in files:
        for track, seed in ((None, 0), ("0", 0), ("1", 1), *named):
            assert is_close(read(file.path, track), signal(seed=seed)), (file.name, track)


def test_the_track_of_a_whole_tag_is_read(workshop: Workshop):
    """Of two tracks in one language, the tag names the one that is read; the language alone is refused."""
    [file] = workshop.make(FLAC, "two tracks")
    path = file.path.with_name("tags.mkv")
    tags = ("-metadata:s:a:0", "language=pt-PT", "-metadata:s:a:1", "language=pt-BR")
    command = ("ffmpeg", "-v", "error", "-y", "-i", file.path, "-map", "0", "-c", "copy", *tags, path)
    subprocess.run(command, check=True)
    for track, seed in (("pt-BR", 1), ("pt-PT", 0), ("1", 1)):
        assert is_close(read(path, track), signal(seed=seed)), track

    with pytest.raises(OptionError, match=r"'pt' may be 0 \(pt-PT\), 1 \(pt-BR\)"):
        read(path, "pt")


@pytest.mark.parametrize("track", ["2", "fra", "fr", "99"])
def test_a_missing_track_is_named(track: str, workshop: Workshop):
    """A track that does not exist is refused with a list of those that do."""
    [file] = workshop.make(FLAC, "two tracks")

    with pytest.raises(OptionError, match=r"0 \(eng\), 1 \(deu\)"):
        read(file.path, track)


def test_titles_are_listed(tmp_path: Path):
    """Where recorders name no languages, the titles tell the tracks of a message apart."""
    tone = ("-f", "lavfi", "-i", "sine=d=0.1")
    titles = ("-metadata:s:a:0", "title=Mic", "-metadata:s:a:1", "title=Game\x1b sound")
    ffmpeg(tmp_path, *tone, "-map", "0", "-map", "0", "-c:a", "pcm_s16le", *titles, "in.mkv")
    with pytest.raises(OptionError, match=r"0 \(und, Mic\), 1 \(und, Game\? sound\)"):
        read(tmp_path / "in.mkv", "5")


def test_stems_begin_with_the_video(workshop: Workshop):
    """On request silence precedes audio that starts after the video, in every container with both."""
    files = workshop.make(FORMATS, "late")
    assert len({file.kind.suffix for file in files}) == 10
    for file in files:
        plain = read(file.path)

        heard = read(file.path, keep_video_origin=True)

        added = len(heard) - len(plain)
        # Encoders start before the first sample by their delay, which some containers do not count.
        assert pytest.approx(OFFSET_S * RATE, abs=2400) == added, file.name
        assert np.abs(heard[: added - 1500]).max() < 1e-3, file.name  # a resampler rings a little
        if file.kind.rate == RATE:
            assert np.array_equal(heard[-FRAMES // 2 :], plain[-FRAMES // 2 :]), file.name


def test_a_track_that_comes_later_changes_nothing(workshop: Workshop):
    """A transport stream that has a second track for a while is read whole, as a broadcast may have it."""
    kinds = tuple(kind for kind in FORMATS if kind.name == "ts-mp2")
    [plain], [two] = (workshop.make(kinds, arrangement) for arrangement in ("plain", "two tracks"))
    joined, parts = plain.path.with_name("later.ts"), 25
    half = plain.path.read_bytes() * (parts // 2)  # more than FFmpeg looks at when it opens a file
    joined.write_bytes(half + two.path.read_bytes() + half)

    assert abs(len(read(joined)) - parts * len(read(plain.path))) < parts * 1152
