"""Files whose headers are not quite true, as recorders, phones and radio stations write them."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stemline.separation.errors import MediaError, TruncatedMedia, UndecodableMedia
from stemline.separation.media import MediaLimits, SourceInfo, open_audio
from tests.media import Kind, make, tone

LIMITS = MediaLimits(max_duration_s=3600, max_bytes=10**9)


def read(path: Path) -> NDArray[np.float32]:
    with open_audio(path, limits=LIMITS) as audio:
        return np.concatenate(list(audio))


def source(path: Path) -> SourceInfo:
    with open_audio(path, limits=LIMITS) as audio:
        return audio.source


@pytest.mark.parametrize("excess", [1, 3, 44, 100])
@pytest.mark.parametrize(
    ("kind", "at", "order"),
    [
        (Kind("wav", "pcm_s16le"), b"data", "<I"),
        (Kind("aiff", "pcm_s16be"), b"SSND", ">I"),
        (Kind("caf", "pcm_s16be"), b"data", ">q"),
        (Kind("au", "pcm_s16be"), b".snd\0\0\0\x20", ">I"),
    ],
    ids=lambda value: value.suffix if isinstance(value, Kind) else None,
)
def test_a_few_bytes_too_many_are_forgiven(kind: Kind, at: bytes, order: str, excess: int, tmp_path: Path):
    """A header that counts up to 100 bytes too many, as common recorders write it, is read to the end."""
    path = make(tmp_path / f"in.{kind.suffix}", kind, tone(44_100))
    data = bytearray(path.read_bytes())
    where = data.index(at) + len(at)
    struct.pack_into(order, data, where, struct.unpack_from(order, data, where)[0] + excess)
    path.write_bytes(data)

    assert 44_100 == len(read(path))


@pytest.mark.parametrize("cut", [1, 2, 3])
@pytest.mark.parametrize(
    "kind",
    [Kind("wav", "pcm_s16le"), Kind("wav", "pcm_s24le"), Kind("aiff", "pcm_s16be"), Kind("w64", "pcm_s16le")],
    ids=lambda kind: f"{kind.suffix}-{kind.codec}",
)
def test_a_part_of_a_sample_at_the_end_is_dropped(kind: Kind, cut: int, tmp_path: Path):
    """A recording that stops in the middle of a sample has all the others."""
    path = make(tmp_path / f"in.{kind.suffix}", kind, tone(44_100))
    path.write_bytes(path.read_bytes()[:-cut])

    assert 44_099 <= len(read(path)) <= 44_100


def test_a_long_rf64_is_forgiven_too(tmp_path: Path):
    """The size in the `ds64` chunk may be a few bytes too large as well."""
    path = make(
        tmp_path / "in.wav", Kind("wav", "pcm_s16le", container_options={"rf64": "always"}), tone(44_100)
    )
    data = bytearray(path.read_bytes())
    where = data.index(b"ds64") + 16
    struct.pack_into("<Q", data, where, struct.unpack_from("<Q", data, where)[0] + 44)
    path.write_bytes(data)

    assert 44_100 == len(read(path))


@pytest.mark.parametrize(("suffix", "codec", "args"), [
    ("mp3", "libmp3lame", ("-q:a", "2", "-write_xing", "0", "-id3v2_version", "0")),
    ("mp3", "libmp3lame", ("-q:a", "2", "-write_xing", "0")),
    ("aac", "aac", ("-b:a", "192k", "-f", "adts")),
])  # fmt: skip
def test_the_bitrate_is_the_average(suffix: str, codec: str, args: tuple[str, ...], tmp_path: Path):
    """A stream without a header frame that starts with silence has its average bitrate and true duration."""
    path = tmp_path / f"in.{suffix}"
    quiet, loud = "aevalsrc=0|0:d=3:s=44100", "anoisesrc=d=12:r=44100:a=0.5"
    graph = "[1:a]aformat=channel_layouts=stereo[n];[0:a][n]concat=v=0:a=1"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", quiet, "-f", "lavfi", "-i", loud,
         "-filter_complex", graph, "-c:a", codec, *args, str(path)],
        check=True,
    )  # fmt: skip

    found = source(path)

    assert pytest.approx(path.stat().st_size * 8 / 15 / 1000, rel=0.03) == found.bitrate_kbps
    assert pytest.approx(15.0, abs=0.1) == found.duration_s


@pytest.mark.parametrize("suffix", ["aac", "mp3"])
def test_a_mono_intro_does_not_make_mono_stems(suffix: str, tmp_path: Path):
    """A stream that is mono at its start and stereo later counts as stereo."""
    kind = {
        "aac": Kind("aac", "aac", muxer="adts"),
        "mp3": Kind("mp3", "libmp3lame", container_options=_BARE),
    }[suffix]
    mono = Kind(
        kind.suffix, kind.codec, layout="mono", muxer=kind.muxer, container_options=kind.container_options
    )
    intro = make(tmp_path / f"a.{suffix}", mono, tone(44_100 * 3, 1)).read_bytes()
    song = make(tmp_path / f"b.{suffix}", kind, tone(44_100 * 3)).read_bytes()
    (tmp_path / f"in.{suffix}").write_bytes(intro + song)

    assert 2 == source(tmp_path / f"in.{suffix}").channels
    assert 1 == source(tmp_path / f"a.{suffix}").channels


_BARE = {"write_xing": "0", "id3v2_version": "0"}


@pytest.mark.parametrize("frames", [4096, 4097, 44_100, 100_000, 57_344])
def test_caf_may_have_any_length(frames: int, tmp_path: Path):
    """ALAC in caf need not fill its last packet."""
    path = tmp_path / "in.caf"
    wav = make(tmp_path / "in.wav", Kind("wav", "pcm_s16le"), tone(frames))
    subprocess.run(["ffmpeg", "-v", "error", "-i", wav, "-c:a", "alac", path], check=True)

    assert frames == len(read(path))


@pytest.mark.parametrize("suffix", ["mp4", "m4a", "mov"])
def test_a_missing_index_is_named(suffix: str, tmp_path: Path):
    """An mp4 whose recording was not finished says that its index is missing."""
    path = make(tmp_path / f"in.{suffix}", Kind(suffix, "aac"), tone(44_100 * 2))
    data = path.read_bytes()
    for end, error in (
        (data.index(b"moov") - 4, UndecodableMedia),
        (data.index(b"moov") - 900, TruncatedMedia),
    ):
        path.write_bytes(data[:end])
        with pytest.raises(MediaError, match="no index") as caught:
            read(path)
        assert isinstance(caught.value, error)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Kind("ogg", "libvorbis"), Kind("ogg", "libvorbis", rate=22_050, layout="mono")),
        (Kind("ogg", "libvorbis", layout="mono"), Kind("ogg", "libvorbis")),
        (Kind("ogg", "flac"), Kind("ogg", "flac", rate=48_000)),
        (Kind("opus", "libopus", rate=48_000, layout="mono"), Kind("opus", "libopus", rate=48_000)),
        (Kind("ogg", "libvorbis"), Kind("ogg", "libvorbis")),
        (Kind("ogg", "libvorbis"), Kind("ogg", "flac", rate=32_000)),
    ],
)  # fmt: skip
def test_chained_ogg_is_read_to_its_end(first: Kind, second: Kind, tmp_path: Path):
    """Songs of a radio stream, chained in one Ogg file, are all read, whatever rate and channels each has."""
    parts = []
    for number, kind in enumerate((first, second)):
        channels = 1 if kind.layout == "mono" else 2
        samples = tone(kind.rate * 2, channels, kind.rate)
        wav = make(tmp_path / f"{number}.wav", Kind("wav", "pcm_s16le", kind.rate, kind.layout), samples)
        part = tmp_path / f"{number}.ogg"
        subprocess.run(
            ["ffmpeg", "-v", "error", "-i", wav, "-c:a", kind.codec, "-f", "ogg", part], check=True
        )
        parts.append(part.read_bytes())
    path = tmp_path / "in.ogg"
    path.write_bytes(b"".join(parts))

    heard = read(path)

    assert pytest.approx(4 * 44_100, abs=2100) == len(heard)
    assert np.abs(heard[-44_100:]).max() > 0.2
    assert 2 == source(path).channels
    assert pytest.approx(4.0, abs=0.1) == source(path).duration_s
