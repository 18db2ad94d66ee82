"""Stems in every codec, rate, bitrate and channel count, written and read back."""

from __future__ import annotations

import resource
import threading
import warnings
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import av
import numpy as np
import pytest

from stemline.jobs.audio import CODECS as REQUESTED
from stemline.separation.errors import DiskFull, EmptyAudio, OptionError
from stemline.separation.media import (
    EncodedStem,
    MediaLimits,
    OutputSpec,
    SourceInfo,
    StemWriter,
    media_info,
    open_audio,
)
from stemline.separation.media.info_frame import ENCODER_DELAY
from stemline.separation.media.mpeg import declared_bytes
from stemline.separation.media.pcm import to_float
from stemline.separation.media.replacement import PREFIX
from stemline.workers.media_info import recorded_media_info
from tests.media import tone
from tests.support.memory import peak, reset_peak

pytestmark = pytest.mark.slow

LIMITS = MediaLimits(3600, 10**9)
SOURCE = SourceInfo("mp3", 44_100, 2, 192, "mp3", 10.0)
CODECS = tuple(REQUESTED)

BITRATES = {"wav": (None,), "flac": (None,), "mp3": (8, 128, 1000), "aac": (8, 128, 1000), "amr": (8, 1000)}
GRID = [
    (codec, rate, kbps, channels)
    for codec in CODECS
    for rate in sorted(REQUESTED[codec].samplerates)
    for kbps in BITRATES[codec]
    for channels in sorted(REQUESTED[codec].channels)
]


def encode(
    path: Path, samples: np.ndarray, spec: OutputSpec | None = None, source: SourceInfo = SOURCE, **tags: str
) -> EncodedStem:
    writer = StemWriter(spec or OutputSpec(path, path.suffix[1:]), tags=tags, source=source)
    for at in range(0, len(samples), 32_768):
        writer.write(samples[at : at + 32_768])
    return writer.close()


def crc16(data: bytes) -> int:
    """Return the CRC-16 of LAME's tag: polynomial 0x8005 reflected, start 0."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc


def decode(path: Path) -> np.ndarray:
    with open_audio(path, limits=LIMITS) as audio:
        return np.concatenate(list(audio))


@pytest.mark.parametrize(("codec", "rate", "kbps", "channels"), GRID)
def test_every_combination_of_the_wire(
    codec: str, rate: int, kbps: int | None, channels: int, tmp_path: Path
):
    """Each codec writes each of its rates, bitrates and channel counts, and the stem is heard in it."""
    samples = tone(22_050)
    path = tmp_path / f"stem.{codec}"

    stem = encode(path, samples, OutputSpec(path, codec, rate, kbps, channels))

    assert (rate, channels) == (stem.media_info.audio.sample_rate, stem.media_info.audio.channels)
    heard = decode(path)
    assert len(samples) - 2 <= len(heard) <= len(samples) + 3 * 1024 * 44_100 // rate + 2
    # Where more than the two front channels exist, a down-mix leaves room for the silent ones.
    assert np.sqrt((heard**2).mean()) > 0.05


@pytest.mark.parametrize("codec", ["wav", "flac", "mp3"])
@pytest.mark.parametrize("frames", [1, 100, 1151, 1152, 44_100, 100_001])
def test_the_number_of_samples_is_kept(codec: str, frames: int, tmp_path: Path):
    """Stems as wav, flac and mp3 are read back with exactly the samples that were written."""
    path = tmp_path / f"stem.{codec}"
    encode(path, tone(frames))

    assert frames == len(decode(path))


@pytest.mark.parametrize("codec", ["wav", "flac"])
def test_lossless_stems_are_exact(codec: str, tmp_path: Path):
    """A wav or flac stem is the network's output to half a step of 16 bits."""
    samples = tone(100_001)
    path = tmp_path / f"stem.{codec}"
    encode(path, samples)

    assert np.abs(decode(path) - samples).max() <= 0.5001 / 32_768


@pytest.mark.parametrize("codec", ["wav", "flac", "mp3"])
def test_an_impulse_stays_at_its_sample(codec: str, tmp_path: Path):
    """Alignment is 0 samples for wav and flac, and for mp3 in players that read its gapless header."""
    samples = np.zeros((44_100, 2), dtype=np.float32)
    samples[22_222] = 0.9
    path = tmp_path / f"stem.{codec}"
    encode(path, samples)

    assert 22_222 == np.abs(decode(path)[:, 0]).argmax()


def test_aac_is_late_by_its_priming(tmp_path: Path):
    """ADTS has no place for the encoder's delay: an aac stem starts 1024 samples late, always."""
    samples = np.zeros((44_100, 2), dtype=np.float32)
    samples[22_222] = 0.9
    path = tmp_path / "stem.aac"
    encode(path, samples)

    assert 22_222 + 1024 == pytest.approx(np.abs(decode(path)[:, 0]).argmax(), abs=1)


def test_beyond_full_scale_is_clipped(tmp_path: Path):
    """A stem louder than full scale is clipped and never wrapped."""
    samples = np.full((1000, 2), 1.5, dtype=np.float32)
    samples[:, 1] = -1.5
    path = tmp_path / "stem.wav"
    encode(path, samples)

    with wave.open(str(path)) as file:
        written = np.frombuffer(file.readframes(1000), dtype="<i2").reshape(-1, 2)
    assert [32_767, -32_768] == written[500].tolist()


def test_a_wav_is_plain(tmp_path: Path):
    """A wav stem is 16-bit PCM that the standard library's reader takes."""
    path = tmp_path / "stem.wav"
    encode(path, tone(5000))

    with wave.open(str(path)) as file:
        assert (2, 2, 44_100, 5000) == (
            file.getnchannels(),
            file.getsampwidth(),
            file.getframerate(),
            file.getnframes(),
        )


@pytest.mark.parametrize(("codec", "change"), [("wav", 0.0), ("flac", 0.0), ("mp3", -0.27), ("aac", -0.2)])
def test_levels_are_kept(codec: str, change: float, tmp_path: Path):
    """pydub measures the level that was written, or the little that the lossy encoders take off it."""
    samples = tone(44_100)
    path = tmp_path / f"stem.{codec}"
    encode(path, samples)
    heard = decode(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydub's own, about Python's audioop and its search for ffmpeg
        import pydub
    pcm = (np.clip(heard, -1, 1) * 32_767).astype("<i2").tobytes()

    level = pydub.AudioSegment(pcm, sample_width=2, frame_rate=44_100, channels=2).dBFS

    assert pytest.approx(20 * np.log10(np.sqrt((samples**2).mean())) + change, abs=0.1) == level


@pytest.mark.parametrize("codec", ["aac", "flac"])
@pytest.mark.parametrize("channels", [4, 5, 6, 8])
def test_more_channels_carry_the_stem_in_front(codec: str, channels: int, tmp_path: Path):
    """Front left and right carry the stem, all other channels are silent."""
    path = tmp_path / f"stem.{codec}"
    encode(path, tone(44_100), OutputSpec(path, codec, channels=channels, bitrate_kbps=500))

    with av.open(str(path)) as container:
        names = [channel.name for channel in container.streams.audio[0].layout.channels]
        loud: set[str] = set()
        for frame in container.decode(audio=0):
            peaks = np.abs(to_float(frame)).max(axis=0)
            loud.update(name for name, peak in zip(names, peaks, strict=True) if peak > 0.01)
    assert {"FL", "FR"} == loud
    assert channels == len(names)


@pytest.mark.parametrize("codec", CODECS)
def test_the_size_is_that_of_the_file(codec: str, tmp_path: Path):
    """Size and MediaInfo describe the finished file."""
    path = tmp_path / f"stem.{codec}"

    stem = encode(path, tone(44_100 * 2))

    size = path.stat().st_size
    assert (path, size) == (stem.path, stem.size)
    assert media_info(path) == stem.media_info
    assert size == stem.media_info.format.size
    assert pytest.approx(2.0, abs=0.06) == stem.media_info.format.duration_s


@pytest.mark.parametrize("codec", CODECS)
def test_equal_stems_are_equal_files(codec: str, tmp_path: Path):
    """The same audio gives the same bytes: no clock, no version, no random number gets in."""
    first = encode(tmp_path / f"a.{codec}", tone(44_100), title="x")
    second = encode(tmp_path / f"b.{codec}", tone(44_100), title="x")

    assert first.path.read_bytes() == second.path.read_bytes()


@pytest.mark.shows(
    "Duration, FormatLongName, FormatName, NumProgram, NumStream, Size",
    "Index, CodecName, CodecLongName, CodecTimeBase, CodecTagString, CodecTag",
    "SampleFmt, SampleRate, Channel, ChannelLayout, Timebase, Language",
)
def test_media_info_of_an_mp3_is_the_specification_s(tmp_path: Path):
    """An mp3 stem has the fixed fields of the specification's sample, start time included."""
    path = tmp_path / "stem.mp3"

    stem = encode(path, tone(44_100 * 3), OutputSpec(path, "mp3", 44_100, 192, 2))
    recorded = recorded_media_info([stem.media_info])

    assert ("MP2/3 (MPEG audio layer 2/3)", "mp3", "0", "1", "0.025057") == tuple(
        recorded["Format"][field]
        for field in ("FormatLongName", "FormatName", "NumProgram", "NumStream", "StartTime")
    )
    assert {
        "Bitrate": "192.000000", "Channel": "2", "ChannelLayout": "stereo",
        "CodecLongName": "MP3 (MPEG audio layer 3)", "CodecName": "mp3", "CodecTag": "0x0000",
        "CodecTagString": "[0][0][0][0]", "CodecTimeBase": "1/44100", "Duration": "3.000000", "Index": "0",
        "Language": "und", "SampleFmt": "fltp", "SampleRate": "44100", "StartTime": "0.025057",
        "Timebase": "1/14112000",
    } == recorded["Stream"]["Audio"][0]  # fmt: skip


@pytest.mark.parametrize(
    ("codec", "names"),
    [
        ("wav", ("pcm_s16le", "wav", "s16", "stereo")),
        ("flac", ("flac", "flac", "s16", "stereo")),
        ("aac", ("aac", "aac", "fltp", "stereo")),
        ("amr", ("amr_nb", "amr", "fltp", "mono")),
    ],
)
def test_media_info_names_codec_and_container(codec: str, names: tuple[str, ...], tmp_path: Path):
    """Codec, container, sample format and layout go by FFmpeg's names."""
    info = encode(tmp_path / f"stem.{codec}", tone(44_100)).media_info

    assert names == (
        info.audio.codec_name,
        info.format.name,
        info.audio.sample_format,
        info.audio.channel_layout,
    )


@pytest.mark.parametrize(
    ("rate", "channels", "kbps"),
    [(44_100, 2, 192), (44_100, 1, 32), (48_000, 2, 320), (22_050, 2, 8), (11_025, 1, 8), (32_000, 2, 64)],
)
def test_the_gapless_header_is_true(rate: int, channels: int, kbps: int, tmp_path: Path):
    """The Info header's frame count, byte count, delay and padding are those of the file, at any bitrate."""
    path = tmp_path / "stem.mp3"
    encode(path, tone(44_100 * 2), OutputSpec(path, "mp3", rate, kbps, channels))
    data = path.read_bytes()
    at = data.index(b"Info")
    frames, size = (
        int.from_bytes(data[at + 8 : at + 12], "big"),
        int.from_bytes(data[at + 12 : at + 16], "big"),
    )
    toc = data[at + 16 : at + 116]
    gap = int.from_bytes(data[at + 141 : at + 144], "big")
    per_frame = 1152 if rate >= 32_000 else 576

    assert len(data) == size
    assert (ENCODER_DELAY, frames * per_frame - ENCODER_DELAY - 2 * rate) == (gap >> 12, gap & 0xFFF)
    assert sorted(toc) == list(toc)
    assert 250 < toc[-1] <= 255
    # LAME's two checksums: over the music, and over this frame up to here.
    start = data.rindex(b"\xff", 0, at - 8)
    assert crc16(data[start + declared_bytes(data[start : start + 4]) :]) == int.from_bytes(
        data[at + 152 : at + 154]
    )
    assert crc16(data[start : at + 154]) == int.from_bytes(data[at + 154 : at + 156])
    # A decoder that knows nothing of the header plays one silent frame more and nothing is lost.
    with av.open(str(path)) as container:
        assert frames == sum(1 for packet in container.demux(audio=0) if packet.size)


@pytest.mark.parametrize("codec", ["wav", "flac", "mp3"])
def test_tags_are_kept(codec: str, tmp_path: Path):
    """Title, artist and the rest of a recording's tags are in the stems that can hold them."""
    tags: dict[str, Any] = {
        "title": "Hätte 你好",
        "artist": "A",
        "album": "B",
        "date": "2013",
        "genre": "Jazz",
        "track": "3",
        "comment": "c",
    }
    path = tmp_path / f"stem.{codec}"
    encode(path, tone(10_000), **tags, encoder="secret")

    with av.open(str(path)) as container:
        held = {name.lower(): value for name, value in container.metadata.items()}

    assert tags == {name: held.get(name) for name in tags}
    assert "secret" not in held.values()


@pytest.mark.parametrize("codec", ["aac", "amr"])
def test_tags_do_not_break_what_cannot_hold_them(codec: str, tmp_path: Path):
    """Raw aac and amr have no place for tags, and are written without."""
    path = tmp_path / f"stem.{codec}"
    encode(path, tone(10_000), title="x")

    assert len(decode(path)) >= 10_000


def test_a_long_stem_takes_no_more_memory(tmp_path: Path):
    """Ten minutes of stem in each codec are written in the memory of one block."""
    block = tone(32_768)
    before = reset_peak()
    for codec in ("wav", "flac"):
        writer = StemWriter(OutputSpec(tmp_path / "stem", codec), tags={}, source=SOURCE)
        for _ in range(800):
            writer.write(block)
        writer.close()

    assert peak() - before < 60_000


def test_writers_work_side_by_side(tmp_path: Path):
    """Four writers in four threads write what each would alone."""
    samples = tone(44_100 * 2)
    alone = {
        codec: encode(tmp_path / f"alone.{codec}", samples).path.read_bytes()
        for codec in ("wav", "flac", "mp3", "aac")
    }
    together: dict[str, bytes] = {}

    def work(codec: str) -> None:
        together[codec] = encode(tmp_path / f"together.{codec}", samples).path.read_bytes()

    threads = [threading.Thread(target=work, args=(codec,)) for codec in alone]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert alone == together


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("size", [0, 3000])
def test_no_room_leaves_no_file(codec: str, size: int, tmp_path: Path):
    """A file system that takes no more ends in DiskFull, and nothing is left."""
    path = tmp_path / f"stem.{codec}"

    with file_size_limit(size), pytest.raises(DiskFull):
        encode(path, tone(44_100 * 4), title="x")

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("codec", CODECS)
def test_a_full_disk_is_reported(codec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """ENOSPC in any call ends in DiskFull, and the stem of an earlier run stays."""
    path = tmp_path / f"stem.{codec}"
    path.write_text("earlier")
    opened = Path.open

    def full(self: Path, mode: str = "r", **options: Any) -> IO[Any]:
        if self.name.startswith(PREFIX):
            self.symlink_to("/dev/full")
            mode = "r+b"
        return opened(self, mode, **options)

    monkeypatch.setattr(Path, "open", full)

    with pytest.raises(DiskFull):
        encode(path, tone(44_100 * 4))

    monkeypatch.undo()

    assert path.read_text() == "earlier"
    assert [path] == list(tmp_path.iterdir())


@pytest.mark.parametrize("codec", CODECS)
def test_a_stem_of_nothing_is_refused(codec: str, tmp_path: Path):
    """Closing a writer that was given nothing is an error and leaves no file."""
    path = tmp_path / f"stem.{codec}"
    writer = StemWriter(OutputSpec(path, codec), tags={}, source=SOURCE)

    with pytest.raises(EmptyAudio):
        writer.close()

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("codec", CODECS)
def test_abort_leaves_no_file(codec: str, tmp_path: Path):
    """An aborted writer deletes its file, and may be aborted again."""
    path = tmp_path / f"stem.{codec}"
    writer = StemWriter(OutputSpec(path, codec), tags={}, source=SOURCE)
    writer.write(tone(44_100))

    writer.abort()
    writer.abort()

    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written_makes_no_file(tmp_path: Path):
    """A combination that cannot be written is refused before a file is created."""
    path = tmp_path / "stem.mp3"

    with pytest.raises(OptionError):
        StemWriter(OutputSpec(path, "mp3", 96_000), tags={}, source=SOURCE)

    assert not path.exists()
