"""Whole files are read whole: every codec at every rate, cut, joined, moved in time, and empty."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stemline.separation.errors import EmptyAudio, MediaError, UndecodableMedia
from stemline.separation.media import MediaLimits, SourceInfo, open_audio
from tests.ffmpeg_files import ffmpeg
from tests.media import Kind, make, tone
from tests.media_formats import FORMATS, Format

pytestmark = pytest.mark.slow

LIMITS = MediaLimits(max_duration_s=3600, max_bytes=10**9)
RATE = 44_100
SECONDS = 2
#: Beyond the matrix of arrangements: codecs that a container holds without saying how long a packet lasts.
_MORE = (
    "mkv wavpack", "mkv tta", "mkv mp2", "mkv eac3", "mkv wmav2", "mkv adpcm_ms", "mkv pcm_s24le",
    "avi adpcm_ms", "avi adpcm_ima_wav", "avi flac", "avi wmav1", "avi wmav2", "avi mp2", "avi pcm_alaw",
    "wav ac3", "wav mp2", "wav wmav2", "wav flac", "w64 libmp3lame", "caf libmp3lame", "caf ac3",
    "caf libopus", "caf flac", "wma ac3", "wma aac", "mov adpcm_ima_qt", "flv adpcm_swf",
    "aiff adpcm_ima_qt", "au pcm_mulaw", "voc pcm_u8",
)  # fmt: skip


def _more(suffix: str, codec: str) -> Format:
    return Format(suffix, codec, rate=48_000 if codec == "libopus" else 44_100)


_ALL = (*FORMATS, *(_more(*name.split()) for name in _MORE))
_RATES = (8_000, 22_050, 44_100, 96_000)
#: One codec of each container in the quick run.
_FIRST = tuple({kind.suffix: kind for kind in reversed(FORMATS)}.values())
_QUICK = tuple(
    each for each in _ALL if each.name in {"mkv-wavpack", "mkv-alac", "avi-adpcm_ms", "avi-flac", "avi-wmav2"}
)


def read(path: Path) -> NDArray[np.float32]:
    with open_audio(path, limits=LIMITS) as audio:
        return np.concatenate(list(audio))


def source(path: Path) -> SourceInfo:
    with open_audio(path, limits=LIMITS) as audio:
        return audio.source


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of stereo."""
    return make(tmp_path_factory.mktemp("song") / "song.wav", Kind("wav", "pcm_s16le"), tone(RATE * SECONDS))


def written(kind: Format, song: Path, path: Path, *options: str) -> bool:
    """Write a file of a format; return False where its codec or its container does not take the options."""
    codec = ("-c:a", kind.codec, "-ar", str(kind.rate), *_STRICT, *kind.options, *options)
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y", "-i", str(song), *codec, str(path)]
    return subprocess.run(command, timeout=120, capture_output=True, check=False).returncode == 0


_STRICT = ("-strict", "-2")


def decoded(path: Path) -> int:
    """Return how many samples at 44.1 kHz the `ffmpeg` command reads."""
    command = [
        "ffmpeg",
        "-v",
        "quiet",
        "-nostdin",
        "-i",
        str(path),
        "-map",
        "0:a:0",
        "-f",
        "s16le",
        "-ac",
        "1",
    ]
    done = subprocess.run([*command, "-ar", str(RATE), "-"], timeout=120, capture_output=True, check=False)
    return len(done.stdout) // 2


def check_rates(kinds: tuple[Format, ...], song: Path, folder: Path) -> None:
    read_files, wrong = 0, []
    for kind in kinds:
        for rate in _RATES:
            path = folder / f"{kind.name}-{rate}.{kind.suffix}"
            if not written(replace(kind, rate=rate), song, path):
                continue
            read_files += 1
            try:
                heard = len(read(path))
            except MediaError as error:
                wrong.append(f"{path.name}: {error}")
                continue
            # A codec may add a frame of padding, and of wma the last frame may be missing.
            if not SECONDS * RATE - 2048 * RATE / rate <= heard <= SECONDS * RATE + 4608 * RATE / rate:
                wrong.append(f"{path.name}: {heard} samples, ffmpeg {decoded(path)}")
    assert read_files >= len(kinds)
    assert not wrong


def test_frames_that_are_long(song: Path, tmp_path: Path) -> None:
    """Codecs with long frames, in containers that do not say how long a packet lasts, are read whole."""
    check_rates(_QUICK, song, tmp_path)


@pytest.mark.thorough
def test_every_codec_at_every_rate(song: Path, tmp_path: Path) -> None:
    """No whole file of any codec in any container at any rate is refused as truncated."""
    check_rates(_ALL, song, tmp_path)


def check_joined(kinds: tuple[Format, ...], song: Path, folder: Path) -> None:
    wrong = []
    for kind in kinds:
        path = folder / f"{kind.name}.{kind.suffix}"
        assert written(kind, song, path), kind.name
        alone, whole = len(read(path)), source(path)
        path.write_bytes(path.read_bytes() * 2)
        try:
            heard, found = len(read(path)), source(path)
        except MediaError as error:
            wrong.append(f"{kind.name}: {error}")
            continue
        # Where FFmpeg reads on in one stream, padding between the two is kept, or removed once.
        if abs(heard - 2 * alone) > 4608:
            wrong.append(f"{kind.name}: {alone} samples alone, {heard} of two")
        elif found.duration_s and abs(found.duration_s - 2 * SECONDS) > 0.4:
            wrong.append(f"{kind.name}: {found.duration_s} s")
        elif whole.bitrate_kbps and not 0.8 < (found.bitrate_kbps or 0) / whole.bitrate_kbps < 1.25:
            wrong.append(f"{kind.name}: {whole.bitrate_kbps} kbit/s alone, {found.bitrate_kbps} of two")
    assert not wrong


def test_files_that_were_joined(song: Path, tmp_path: Path) -> None:
    """Of a file to which another one was appended, both are read, in every container."""
    check_joined(_FIRST, song, tmp_path)


@pytest.mark.thorough
def test_files_of_every_codec_that_were_joined(song: Path, tmp_path: Path) -> None:
    """Of a file to which another one was appended, both are read, with every codec."""
    check_joined(_ALL, song, tmp_path)


#: Ways to cut a file without encoding it again: before and behind the input, its start and its end.
_CUTS = ((("-ss", "0.7"), ()), ((), ("-ss", "0.7")), ((), ("-t", "1.1")), (("-ss", "0.3"), ("-t", "1.1")))


def check_cuts(kinds: tuple[Format, ...], song: Path, folder: Path) -> None:
    wrong = []
    for kind in kinds:
        path = folder / f"{kind.name}.{kind.suffix}"
        assert written(kind, song, path), kind.name
        for number, (before, behind) in enumerate(_CUTS):
            cut = folder / f"{kind.name}-{number}.{kind.suffix}"
            command = ["ffmpeg", "-v", "error", "-nostdin", "-y", *before, "-i", str(path), *behind]
            command += ["-c", "copy", *kind.options, str(cut)]
            if subprocess.run(command, timeout=60, capture_output=True, check=False).returncode:
                continue
            try:
                heard = len(read(cut))
            except MediaError as error:
                wrong.append(f"{cut.name}: {error} (ffmpeg reads {decoded(cut)})")
                continue
            if abs(heard - decoded(cut)) > 4608:
                wrong.append(f"{cut.name}: {heard} samples, ffmpeg {decoded(cut)}")
    assert not wrong


def test_mp3_and_flac_that_were_cut(song: Path, tmp_path: Path) -> None:
    """What a program cut out of an mp3 or a flac, without encoding it again, is whole."""
    check_cuts(tuple(each for each in FORMATS if each.suffix in {"mp3", "flac"}), song, tmp_path)


#: What FFmpeg itself cannot read, or loses the start or the end of: see docs/media.md.
_CUT_WRONGLY = {"mkv-tta", "avi-flac", "wav-flac"}


@pytest.mark.thorough
def test_every_codec_that_was_cut(song: Path, tmp_path: Path) -> None:
    """What a program cut out of a file of any codec and container, without encoding it again, is whole."""
    check_cuts(tuple(each for each in _ALL if each.name not in _CUT_WRONGLY), song, tmp_path)


@pytest.mark.parametrize("kind", [("wv", "wavpack"), ("flac", "flac")])
def test_facts_of_what_was_cut(kind: tuple[str, str], song: Path, tmp_path: Path) -> None:
    """Duration and bitrate of a cut flac or wv are its own, not those of the whole that its header names."""
    suffix, codec = kind
    whole, cut = tmp_path / f"whole.{suffix}", tmp_path / f"cut.{suffix}"
    ffmpeg(tmp_path, "-stream_loop", "9", "-i", str(song), "-c:a", codec, whole.name)
    for place in (("-t", "3"), ("-ss", "5", "-t", "3")):
        ffmpeg(tmp_path, *place, "-i", whole.name, "-c", "copy", cut.name)
        found = source(cut)
        assert abs((found.duration_s or 0) - 3) < 0.2
        assert abs((found.bitrate_kbps or 0) / (source(whole).bitrate_kbps or 1) - 1) < 0.2


def streamed(folder: Path, name: str, muxer: str, *arguments: str) -> Path:
    """Write a file through a pipe, so that its muxer cannot go back to its header."""
    command = ["ffmpeg", "-v", "error", "-nostdin", *arguments, "-f", muxer, "-"]
    done = subprocess.run(command, cwd=folder, timeout=120, capture_output=True, check=True)
    (folder / name).write_bytes(done.stdout)
    return folder / name


#: What is written through a pipe most often.
_STREAMED = (
    "mkv aac",
    "mkv adpcm_ms",
    "mkv flac",
    "mkv libopus",
    "mkv pcm_s16le",
    "webm libopus",
    "webm libvorbis",
)


@pytest.mark.parametrize("name", _STREAMED)
def test_matroska_without_lengths(name: str, song: Path, tmp_path: Path) -> None:
    """What a browser or a pipe wrote, which cannot go back to its header, is read whole, with its facts."""
    suffix, codec = name.split()
    kind = _more(suffix, codec)
    muxer = {"mkv": "matroska"}.get(suffix, suffix)
    assert written(kind, song, tmp_path / f"in.{suffix}")
    for case, arguments in enumerate(((), ("-c", "copy"), ("-ss", "0.7", "-c", "copy"))):
        encoding = arguments or ("-c:a", codec, "-ar", str(kind.rate))
        before = arguments[:-2]
        given = song if not arguments else Path(f"in.{suffix}")
        path = streamed(tmp_path, f"{case}.{suffix}", muxer, *before, "-i", str(given), *encoding[-4:])
        heard = len(read(path))
        assert abs(heard - decoded(path)) <= 2
        found = source(path)
        assert abs((found.duration_s or 0) - heard / RATE) < 0.1
        sent_kbps = path.stat().st_size * 8 / 1000 / (heard / RATE)
        # Tables of the codec count as no sound: they are a third of a short vorbis.
        assert 0.5 * sent_kbps < (found.bitrate_kbps or 0) < 1.25 * sent_kbps


def test_flv_that_starts_before_zero(song: Path, tmp_path: Path) -> None:
    """The time stamps of an flv that begins before 0 start again from 0, and nothing is missing there."""
    for codec in ("aac", "libmp3lame"):
        ffmpeg(tmp_path, "-i", str(song), "-c:a", codec, "-ar", "44100", "in.flv")
        ffmpeg(
            tmp_path, "-ss", "0.7", "-i", "in.flv", "-c", "copy", "-avoid_negative_ts", "disabled", "cut.flv"
        )
        assert abs(len(read(tmp_path / "cut.flv")) - decoded(tmp_path / "cut.flv")) <= 2


def test_flac_in_ogg_whose_time_begins_later(song: Path, tmp_path: Path) -> None:
    """No silence is put behind the first page of a recording that does not begin at 0."""
    ffmpeg(tmp_path, "-i", str(song), "-c:a", "flac", "-f", "ogg", "in.oga")
    for offset in ("0.4", "600", "7200"):
        ffmpeg(tmp_path, "-i", "in.oga", "-c", "copy", "-output_ts_offset", offset, "moved.oga")
        assert len(read(tmp_path / "in.oga")) == len(read(tmp_path / "moved.oga"))
        assert source(tmp_path / "in.oga") == source(tmp_path / "moved.oga")


def check_offsets(kinds: tuple[Format, ...], song: Path, folder: Path) -> None:
    wrong = []
    for kind in kinds:
        path = folder / f"in.{kind.suffix}"
        assert written(kind, song, path, "-b:a", "128k"), kind.name
        plain = source(path)
        for offset in ("10", "3600"):
            if not written(kind, song, path, "-b:a", "128k", "-output_ts_offset", offset):
                continue
            moved = source(path)
            rates = (plain.bitrate_kbps or 0, moved.bitrate_kbps or 0)
            if abs(rates[0] - rates[1]) > 0.05 * rates[0]:
                wrong.append(f"{kind.name}, {offset} s: {rates} kbit/s")
            if plain.duration_s and abs((moved.duration_s or 0) - plain.duration_s) > 0.1:
                wrong.append(f"{kind.name}, {offset} s: {moved.duration_s} s")
    assert not wrong


def test_time_that_does_not_begin_at_zero(song: Path, tmp_path: Path) -> None:
    """Bitrate and duration of a recording do not depend on where its time stamps begin."""
    wanted = {"mkv-aac", "ogg-libopus", "ogg-flac", "webm-libopus", "wma-wmav2", "flv-aac", "mp4-aac"}
    check_offsets(tuple(each for each in FORMATS if each.name in wanted), song, tmp_path)


#: Codecs whose frames name their channels, and containers of each.
_MONO_INTROS = {
    "libmp3lame": "mp3 mp4 mov mkv avi wma caf w64 wav flv",
    "aac": "aac m4a mp4 mkv avi flv wav ts",
    "flac": "flac mkv ogg",
    "mp2": "mp2 mkv avi wav ts",
    "ac3": "ac3 mp4 mkv avi",
}


@pytest.mark.parametrize("codec", _MONO_INTROS)
def test_a_mono_intro_in_every_container(codec: str, song: Path, tmp_path: Path) -> None:
    """A stream that is mono at its start and stereo later makes stereo stems, whatever contains it."""
    raw = {"libmp3lame": "mp3", "aac": "adts"}.get(codec, codec)
    outputs = []
    for channels in ("1", "2"):
        outputs += ["-ac", channels, "-c:a", codec, *_BARE.get(codec, ()), "-f", raw, f"{channels}.{raw}"]
    ffmpeg(tmp_path, "-i", str(song), *outputs)
    parts = [(tmp_path / f"{channels}.{raw}").read_bytes() for channels in "12"]
    suffixes = _MONO_INTROS[codec].split()
    found = {}
    for name, content in (("mono", parts[0]), ("both", b"".join(parts))):
        joined = tmp_path / f"{name}.raw.{raw.replace('adts', 'aac')}"
        joined.write_bytes(content)
        copies = [word for suffix in suffixes for word in ("-c", "copy", f"{name}.{suffix}")]
        ffmpeg(tmp_path, "-i", joined.name, *copies)
        found[name] = [source(tmp_path / f"{name}.{suffix}").channels for suffix in suffixes]

    assert found == {"mono": [1] * len(suffixes), "both": [2] * len(suffixes)}


_BARE = {"libmp3lame": ("-write_xing", "0", "-id3v2_version", "0")}


@pytest.mark.parametrize(
    "suffix", [*dict.fromkeys(kind.suffix for kind in _ALL), "dts", "thd", "mlp", "tak", "dff", "amr"]
)
def test_an_empty_file(suffix: str, tmp_path: Path) -> None:
    """A file without a byte, or with one, is no media, whatever its name says."""
    path = tmp_path / f"in.{suffix}"
    for content in (b"", b"\0"):
        path.write_bytes(content)
        with pytest.raises((UndecodableMedia, EmptyAudio)):
            read(path)
