"""Files as programs and recorders write them that nobody thought of, made with the `ffmpeg` command."""

from __future__ import annotations

import subprocess
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stemline.separation.errors import DamagedMedia, TruncatedMedia, UndecodableMedia
from stemline.separation.media import MediaLimits, SourceInfo, open_audio
from stemline.separation.media.containers.ogg import ogg_checksum
from tests.ffmpeg_files import ffmpeg
from tests.media import Kind, make, tone

LIMITS = MediaLimits(max_duration_s=3600, max_bytes=10**9)
RATE = 44_100
_VIDEO = ("-f", "lavfi", "-i", "testsrc=size=64x48:rate=10:duration=2")


def read(path: Path, *, keep_video_origin: bool = False) -> NDArray[np.float32]:
    with open_audio(path, limits=LIMITS, keep_video_origin=keep_video_origin) as audio:
        return np.concatenate(list(audio))


def source(path: Path) -> SourceInfo:
    with open_audio(path, limits=LIMITS) as audio:
        return audio.source


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of stereo."""
    return make(tmp_path_factory.mktemp("song") / "song.wav", Kind("wav", "pcm_s16le"), tone(RATE * 2))


@pytest.mark.parametrize("codec", ["pcm_s24be", "pcm_f32be"])
@pytest.mark.parametrize("suffix", ["mov", "caf", "aiff"])
def test_an_order_of_channels_that_is_the_files_own(suffix: str, codec: str, tmp_path: Path):
    """In 7.1 whose sides come before its back, each channel is heard where the file puts it."""
    path = tmp_path / f"in.{suffix}"
    layout = "FL+FR+FC+LFE+BL+BR+SL+SR"
    loud = "0|0|0|0|0|0|0|0.5*sin(t*2000)"  # the right side alone
    ffmpeg(tmp_path, "-f", "lavfi", "-i", f"aevalsrc={loud}:d=1:c={layout}", "-c:a", codec, path.name)

    for _ in range(3):  # PyAV damaged its memory with the order, and crashed when it used it again
        left, right = np.abs(read(path)).max(axis=0)
        assert left < 1e-4
        assert right > 0.05
    assert 8 == source(path).channels


@pytest.mark.parametrize("suffix", ["flac", "thd", "mlp", "mp3", "wav", "aac", "ac3", "dts", "m4a"])
@pytest.mark.parametrize("content", [b"%PDF-1.4\n%%EOF\n", b"<!DOCTYPE html>\n", b'{"error": "none"}\n'])
def test_a_document_is_no_audio_under_any_name(content: bytes, suffix: str, tmp_path: Path):
    """FFmpeg believes some names; the error is the one of something that is no media file."""
    path = tmp_path / f"in.{suffix}"
    path.write_bytes(content * 500)
    with pytest.raises(UndecodableMedia):
        read(path)


@pytest.mark.parametrize("container", ["avi", "asf"])
def test_a_writer_that_could_not_seek_back(container: str, song: Path, tmp_path: Path):
    """A recording that was piped has no lengths in its header: it is read, its packets are counted."""
    codec = {"avi": "libmp3lame", "asf": "wmav2"}[container]
    piped = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", song, "-c:a", codec, "-f", container, "-"],
        capture_output=True,
        check=True,
        timeout=180,
    )
    path = tmp_path / f"in.{container}"
    path.write_bytes(piped.stdout)

    assert pytest.approx(RATE * 2, abs=4608) == len(read(path))
    assert pytest.approx(2.0, abs=0.1) == source(path).duration_s


#: Containers and their codecs that no other test truncates.
_CUT = {
    "au": "pcm_s16be", "w64": "pcm_s16le", "tta": "tta", "voc": "pcm_s16le", "wma": "wmav2", "mpg": "mp2",
    "wv": "wavpack", "eac3": "eac3", "mka": "libopus", "m4b": "aac",
}  # fmt: skip


@pytest.mark.parametrize("suffix", _CUT)
def test_a_file_without_its_end_is_truncated(suffix: str, song: Path, tmp_path: Path):
    """A file that ends anywhere before its end is refused as truncated, in every container."""
    ffmpeg(tmp_path, "-i", str(song), "-ar", "48000", "-c:a", _CUT[suffix], f"whole.{suffix}")
    data = (tmp_path / f"whole.{suffix}").read_bytes()
    path = tmp_path / f"in.{suffix}"
    for tenth in range(1, 10):
        path.write_bytes(data[: len(data) * tenth // 10 | 3])  # no packet ends so, and three bytes begin one
        with pytest.raises(TruncatedMedia):
            read(path)


#: Containers and their codecs behind which something else may stand.
_FOLLOWED = {
    "m4a": "aac", "mp4": "alac", "mov": "pcm_s16le", "ts": "aac", "caf": "pcm_s16be", "w64": "pcm_s16le",
    "wv": "wavpack", "tta": "tta", "aac": "aac", "wma": "wmav2", "latm": "aac", "mpg": "mp2", "flac": "flac",
    "wav": "pcm_s16le", "ogg": "libvorbis", "mp3": "libmp3lame", "mkv": "aac", "flv": "aac",
}  # fmt: skip


@pytest.mark.parametrize("suffix", _FOLLOWED)
def test_something_else_may_follow_a_file(suffix: str, song: Path, tmp_path: Path):
    """Tags, line ends, zeros and pages of a server behind a file do not change what is read of it."""
    path = tmp_path / f"in.{suffix}"
    ffmpeg(tmp_path, "-i", str(song), "-c:a", _FOLLOWED[suffix], path.name)
    data, whole = path.read_bytes(), read(path)
    for rest in (b"\r\n", b"TAG" + b"x" * 125, b"<html>not found</html>" * 20, bytes(4096)):
        path.write_bytes(data + rest)
        heard = read(path)
        assert np.array_equal(whole, heard[: len(whole)]), rest[:6]
        # FFmpeg keeps the padding of an mp3 that is longer than its header says.
        assert len(heard) == len(whole) or (suffix == "mp3" and len(heard) - len(whole) < 1152), rest[:6]


@pytest.mark.parametrize("suffix", ["wav", "m4a", "mkv", "aiff", "wma", "flac", "ogg", "mp3", "aac", "ts"])
def test_a_tag_may_precede_any_file(suffix: str, song: Path, tmp_path: Path):
    """An ID3v2 tag that a program put before a file of any kind does not hide what follows."""
    path = tmp_path / f"in.{suffix}"
    codec = {"aiff": "pcm_s16be", "mkv": "aac", "ts": "aac"}.get(suffix) or _FOLLOWED[suffix]
    ffmpeg(tmp_path, "-i", str(song), "-c:a", codec, path.name)
    data, whole = path.read_bytes(), read(path)
    frame = b"TIT2\0\0\0\x05\0\0\x03song"
    path.write_bytes(b"ID3\x04\0\0\0\0\x08\0" + frame.ljust(1024, b"\0") + data)

    assert np.array_equal(whole, read(path))


def _pages(data: bytes) -> list[bytes]:
    """Return the pages of an Ogg file."""
    starts = [at for at in range(len(data)) if data.startswith(b"OggS\0", at)]
    return [data[start:end] for start, end in pairwise([*starts, len(data)])]


@pytest.mark.parametrize(("suffix", "codec"), [("ogg", "libvorbis"), ("opus", "libopus"), ("oga", "flac")])
def test_a_lost_page_is_no_pause(suffix: str, codec: str, song: Path, tmp_path: Path):
    """A page that is missing by its number is damage, though time stamps make it look like a pause."""
    path = tmp_path / f"in.{suffix}"
    ffmpeg(tmp_path, "-i", str(song), "-c:a", codec, "-page_duration", "200000", path.name)
    pages = _pages(path.read_bytes())
    half = len(pages) // 2
    path.write_bytes(b"".join([*pages[:half], *pages[half + 1 :]]))

    with pytest.raises(DamagedMedia):
        read(path)


def test_a_station_goes_on_in_the_middle_of_its_stream(song: Path, tmp_path: Path):
    """A recording of a radio station has its headers, and then the pages of the moment."""
    path = tmp_path / "in.ogg"
    ffmpeg(tmp_path, "-i", str(song), "-c:a", "libvorbis", "-page_duration", "200000", path.name)
    pages = _pages(path.read_bytes())
    path.write_bytes(b"".join([*pages[:2], *pages[5:]]))

    assert 0.4 * RATE < len(read(path)) < 1.9 * RATE


def test_a_packet_without_bytes_does_not_end_decoding(song: Path, tmp_path: Path):
    """An empty packet of Vorbis is passed over."""
    path = tmp_path / "in.ogg"
    ffmpeg(tmp_path, "-i", str(song), "-c:a", "libvorbis", "-page_duration", "200000", path.name)
    whole = read(path)
    pages = _pages(path.read_bytes())
    half = len(pages) // 2
    empty = pages[half - 1][:5] + b"\0" + pages[half - 1][6:26] + b"\1\0"
    sealed = []
    for number, page in enumerate([*pages[:half], empty, *pages[half:]]):
        blank = page[:18] + number.to_bytes(4, "little") + bytes(4) + page[26:]
        sealed.append(blank[:22] + ogg_checksum(blank).to_bytes(4, "little") + blank[26:])
    path.write_bytes(b"".join(sealed))

    assert np.array_equal(whole, read(path))


@pytest.mark.parametrize(("suffix", "codec"), [("webm", "libopus"), ("mkv", "aac"), ("flv", "aac")])
def test_short_gaps_add_up(suffix: str, codec: str, song: Path, tmp_path: Path):
    """Where a recorder leaves out silent frames one by one, stems stay in step with the picture."""
    path = tmp_path / f"in.{suffix}"
    # 60 ms are missing after every tenth packet, which alone might be jitter.
    gaps = "setts=ts=TS+trunc(N/10)*60"
    ffmpeg(tmp_path, "-i", str(song), "-c:a", codec, "-bsf:a", gaps, path.name)
    packets = {"libopus": 100, "aac": 88}[codec]

    assert pytest.approx(RATE * (2 + packets // 10 * 0.06), abs=0.15 * RATE) == len(read(path))


@pytest.mark.parametrize("suffix", ["dff", "thd", "mlp"])
def test_containers_of_discs(suffix: str, tmp_path: Path):
    """DSD in DSDIFF, and the lossless codecs of discs without a container, are read."""
    path = tmp_path / f"in.{suffix}"
    if suffix == "dff":
        path.write_bytes(_dsdiff(0.5))
    else:
        codec = {"thd": "truehd", "mlp": "mlp"}[suffix]
        graph = "sine=f=440:r=48000:d=0.5,aformat=channel_layouts=stereo"
        ffmpeg(tmp_path, "-f", "lavfi", "-i", graph, "-c:a", codec, "-strict", "-2", path.name)

    heard = read(path)

    assert pytest.approx(RATE // 2, abs=500) == len(heard)
    assert pytest.approx(220, abs=4) == np.abs(np.fft.rfft(heard[:, 0]))[: RATE // 20].argmax()


def _dsdiff(seconds: float) -> bytes:
    """Return a tone of 440 Hz in bits, made by a modulator of the first order."""
    rate = 2_822_400
    wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(int(rate * seconds)) / rate)
    levels = np.floor(np.cumsum((wave + 1) / 2))
    bits = np.packbits(np.diff(levels, prepend=0).astype(np.uint8))

    def chunk(name: bytes, body: bytes) -> bytes:
        return name + len(body).to_bytes(8, "big") + body

    properties = b"SND " + chunk(b"FS  ", rate.to_bytes(4, "big"))
    properties += chunk(b"CHNL", b"\0\2SLFTSRGT") + chunk(b"CMPR", b"DSD \x0enot compressed\0")
    sound = chunk(b"DSD ", np.repeat(bits, 2).tobytes())
    return chunk(b"FRM8", b"DSD " + chunk(b"FVER", b"\1\5\0\0") + chunk(b"PROP", properties) + sound)


@pytest.mark.parametrize("late_s", [0.5, 1.7])
def test_empty_chunks_of_an_avi_are_silence(late_s: float, song: Path, tmp_path: Path):
    """Chunks without content, by which an avi delays its audio, last as long as others."""
    path = tmp_path / "in.avi"
    ffmpeg(tmp_path, *_VIDEO, "-itsoffset", str(late_s), "-i", str(song), "-c:v", "mpeg4", path.name)

    heard = read(path)

    # The muxer puts them behind the first frame.
    assert pytest.approx(RATE * (2 + late_s), abs=3 * 1152) == len(heard)
    assert np.abs(heard[3 * 1152 : round((late_s - 0.1) * RATE)]).max() < 0.01
    assert np.abs(heard[round((late_s + 0.1) * RATE) :]).max() > 0.3


def test_a_long_pause_of_an_avi_is_refused(song: Path, tmp_path: Path):
    """Silence of empty chunks is bounded as every other pause."""
    path = tmp_path / "in.avi"
    ffmpeg(tmp_path, *_VIDEO, "-itsoffset", "1.5", "-i", str(song), "-c:v", "mpeg4", path.name)
    limits = MediaLimits(max_duration_s=3600, max_bytes=10**9, max_pause_s=1.0)

    with (
        pytest.raises(DamagedMedia, match=r"pauses for 1\.5 s"),
        open_audio(path, limits=limits) as audio,
    ):
        list(audio)


def test_a_compressed_wav_may_count_a_few_frames_more(song: Path, tmp_path: Path):
    """The header of a wav that holds wma counts frames that the decoder does not give."""
    ffmpeg(tmp_path, "-i", str(song), "-c:a", "wmav2", "in.wav")

    assert pytest.approx(RATE * 2, abs=4096) == len(read(tmp_path / "in.wav"))


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [("mp3", "libmp3lame"), ("ac3", "ac3"), ("eac3", "eac3"), ("dts", "dca"), ("mkv", "ac3")],
)
def test_a_mono_intro_of_a_codec_that_names_channels_in_each_frame(
    suffix: str, codec: str, song: Path, tmp_path: Path
):
    """A song behind a mono intro makes stereo stems, in each codec and also behind a header that counts."""
    options = ("-c:a", codec, "-strict", "-2", "-ar", "48000", "-f", _MUXERS.get(codec, codec))
    for channels in ("1", "2"):
        ffmpeg(tmp_path, "-i", str(song), "-ac", channels, *options, f"{channels}.raw")
    intro, rest = ((tmp_path / f"{channels}.raw").read_bytes() for channels in ("1", "2"))
    path = tmp_path / f"in.{suffix}"
    both = path if suffix != "mkv" else tmp_path / f"both.{codec}"
    both.write_bytes(intro + rest)
    if both != path:
        ffmpeg(tmp_path, "-i", both.name, "-c", "copy", path.name)
    plain = tmp_path / f"intro.{'mp3' if suffix == 'mp3' else codec}"
    plain.write_bytes(intro)

    assert 2 == source(path).channels
    assert len(read(path)) > RATE * 3.9
    assert 1 == source(plain).channels


_MUXERS = {"libmp3lame": "mp3", "dca": "dts"}


@pytest.mark.parametrize(("suffix", "codec"), [("mkv", "aac"), ("webm", "libopus"), ("flv", "aac")])
def test_progress_of_audio_that_starts_late(suffix: str, codec: str, song: Path, tmp_path: Path):
    """The duration by which progress is counted is that of the audio, also where time begins before it."""
    path = tmp_path / f"in.{suffix}"
    ffmpeg(tmp_path, "-i", str(song), "-c:a", codec, "-output_ts_offset", "5", path.name)

    assert pytest.approx(2.0, abs=0.15) == source(path).duration_s
