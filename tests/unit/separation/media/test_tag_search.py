"""Tags anywhere in streams of frames are metadata, whatever they hold; sound that looks like one is not."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

from stemline.separation.media.containers import HEAD_BYTES, read_structure
from tests.media import Kind, make, tone

SIZE = 4 << 20


def id3(size: int) -> bytes:
    return b"ID3\4\0\0" + bytes(size >> shift & 127 for shift in (21, 14, 7, 0))


def ape(size: int) -> bytes:
    return b"APETAGEX" + struct.pack("<IIII", 2000, size, 1, 0xA0000000) + bytes(8)


TAGS = {
    "ID3v2 of padding": [id3(SIZE), SIZE],
    "ID3v2 with a picture": [id3(SIZE) + b"APIC" + random.Random(1).randbytes(60), SIZE - 64],
    "ID3v2 of anything": [id3(SIZE) + random.Random(2).randbytes(64), SIZE - 64],
    "ID3v2 that the file cuts short": [id3(SIZE * 2) + b"PRIV", SIZE],
    "many ID3v2": [id3(1 << 20), 1 << 20] * (SIZE >> 20),
    "APEv2": [ape(SIZE), SIZE],
    "ID3v2 and APEv2": [id3(SIZE // 2), SIZE // 2, ape(SIZE // 2), SIZE // 2],
    "ID3v1": [(b"TAG" + bytes(125)) * (SIZE // 128)],
}
"""Bytes, and the lengths of holes."""
KINDS = (
    Kind("mp3", "libmp3lame"),
    Kind("mp3", "libmp3lame", container_options={"write_xing": "0"}),
    Kind("mp2", "mp2"),
    Kind("aac", "aac", muxer="adts"),
    Kind("ac3", "ac3"),
    Kind("eac3", "eac3"),
    Kind("flac", "flac"),
)


@pytest.fixture(
    scope="module", params=KINDS, ids=lambda kind: kind.name + kind.container_options.get("write_xing", "")
)
def song(request, tmp_path_factory) -> bytes:
    """A second of sound."""
    folder = tmp_path_factory.mktemp("song")
    return make(folder / f"in.{request.param.suffix}", request.param, tone(44_100)).read_bytes()


def metadata_bytes(path: Path, parts: list[bytes | int]) -> int:
    """What a file of these parts has in metadata."""
    with path.open("wb+") as file:
        for part in parts:
            file.write(part) if isinstance(part, bytes) else file.seek(part, 1)
        size = file.tell()
        file.truncate()
        file.seek(0)
        return read_structure(file, file.read(HEAD_BYTES), size).metadata_bytes


@pytest.mark.parametrize("tag", TAGS)
def test_large_tags_behind_the_sound_are_counted(song, tag, tmp_path):
    """However it is written, a tag is found behind the frames of every kind."""
    assert metadata_bytes(tmp_path / "in", [song, *TAGS[tag]]) >= SIZE


def test_tags_between_two_frames_count_once(song, tmp_path):
    """FFmpeg drops each run before the next one, so that songs with covers can be appended."""
    piece = [song, id3(SIZE // 2) + b"APIC", SIZE // 2 - 4, song[len(song) // 2 :]]
    found = metadata_bytes(tmp_path / "in", piece * 3)
    assert SIZE // 2 < found < SIZE


def test_sound_that_looks_like_a_tag_is_none(song, tmp_path):
    """Three letters within a frame that happen to claim a long tag make no metadata."""
    looks = id3(SIZE // 2) + b"\x91\x02\x80\x55"
    assert metadata_bytes(tmp_path / "in", [song, looks * 20, SIZE]) < SIZE // 4
