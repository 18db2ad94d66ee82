"""Bitrate and channels of sources, from which stems take their defaults."""

from __future__ import annotations

import base64
import subprocess
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stemline.separation.media import MediaLimits, SourceInfo, open_audio
from stemline.separation.media.probe import probe_file
from tests.ffmpeg_files import picture_block, png
from tests.media import Kind, make, tone

LIMITS = MediaLimits(max_duration_s=3600, max_bytes=10**9)
_ENCODERS = {
    "flac": ("flac",),
    "opus": ("libopus", "-b:a", "96k"),
    "ogg": ("libvorbis", "-b:a", "160k"),
    "m4a": ("aac", "-b:a", "160k"),
    "mka": ("libopus", "-b:a", "96k"),
    "wma": ("wmav2", "-b:a", "160k"),
}


def source(path: Path) -> SourceInfo:
    with open_audio(path, limits=LIMITS) as audio:
        return audio.source


def _picture(suffix: str, cover: Path) -> tuple[str, ...]:
    """Return the options of `ffmpeg` that add a cover."""
    if suffix == "mka":
        return ("-attach", str(cover), "-metadata:s:t", "mimetype=image/png")
    if suffix in {"opus", "ogg"}:
        described = cover.with_suffix(".txt")  # too long for a command line
        block = base64.b64encode(picture_block(cover.read_bytes(), (160, 160))).decode().replace("=", r"\=")
        described.write_text(f";FFMETADATA1\nMETADATA_BLOCK_PICTURE={block}\n")
        return ("-i", str(described), "-map", "0", "-map_metadata", "1")
    streams = ("-map", "0", "-map", "1", "-c:v", "copy", "-disposition:v:0", "attached_pic")
    return ("-i", str(cover), *streams)


@pytest.mark.parametrize("suffix", _ENCODERS)
def test_a_cover_does_not_change_the_bitrate(suffix: str, tmp_path: Path):
    """A cover as large as the audio itself leaves the bitrate of the source as it is."""
    song = make(tmp_path / "song.wav", Kind("wav", "pcm_s16le"), tone(44_100 * 5))
    cover = tmp_path / "cover.png"
    noise = np.random.default_rng(1).integers(0, 256, (160, 160, 3), np.uint8)
    cover.write_bytes(png(noise))
    picture = _picture(suffix, cover)
    plain, covered = tmp_path / f"plain.{suffix}", tmp_path / f"covered.{suffix}"
    for path, options in ((plain, ()), (covered, picture)):
        command = ["ffmpeg", "-v", "error", "-i", str(song), *options, "-c:a", *_ENCODERS[suffix], str(path)]
        subprocess.run(command, check=True, timeout=180)

    assert covered.stat().st_size > plain.stat().st_size + 60_000
    assert source(plain).bitrate_kbps is not None
    assert pytest.approx(source(plain).bitrate_kbps, rel=0.05) == source(covered).bitrate_kbps


_BROADCASTS = {
    "ts": Kind("ts", "aac"),
    "mp2.ts": Kind("mp2.ts", "mp2"),
    "mpg": Kind("mpg", "mp2", muxer="vob"),
    "loas": Kind("loas", "aac", muxer="latm"),
}


@pytest.mark.parametrize("suffix", ["m4a", "mov"])
def test_a_part_of_an_mp4_has_the_bitrate_of_the_whole(suffix: str, tmp_path: Path):
    """An edit list that leaves most of the file out, as phones write it, does not change the bitrate."""
    path = make(tmp_path / f"in.{suffix}", Kind(suffix, "aac"), tone(44_100 * 3))
    whole = source(path)
    content = bytearray(path.read_bytes())
    at = content.index(b"elst") + 12
    content[at : at + 4] = (1000).to_bytes(4, "big")  # of 3,000 ms
    path.write_bytes(content)
    part = source(path)

    assert part.duration_s == pytest.approx(1.0, abs=0.1)
    assert part.bitrate_kbps == pytest.approx(whole.bitrate_kbps, rel=0.05)


@pytest.mark.parametrize("name", _BROADCASTS)
def test_mono_stays_mono_unless_it_becomes_stereo(name: str, tmp_path: Path):
    """A broadcast that is mono to its end has one channel, one that turns to stereo has two."""
    kind = _BROADCASTS[name]
    mono = Kind(kind.suffix, kind.codec, layout="mono", muxer=kind.muxer)
    intro = make(tmp_path / f"a.{kind.suffix}", mono, tone(44_100 * 3, 1))
    song = make(tmp_path / f"b.{kind.suffix}", kind, tone(44_100 * 3))
    both = tmp_path / f"in.{kind.suffix}"
    both.write_bytes(intro.read_bytes() + song.read_bytes())

    assert [1, 2, 2] == [source(each).channels for each in (intro, song, both)]


def test_parametric_stereo_is_stereo(tmp_path: Path):
    """Where the decoder makes two channels of frames that say they have one, stems are stereo."""
    path = make(tmp_path / "in.aac", Kind("aac", "aac", muxer="adts"), tone(44_100))
    [probe] = probe_file(path, path.stat().st_size)
    with closing(probe):
        probe = replace(probe, structure=replace(probe.structure, channels=1))

        assert 2 == probe.source.channels
