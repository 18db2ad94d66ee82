"""Sources with far more metadata than sound: refused before FFmpeg reads them, in little time and memory."""

from __future__ import annotations

import struct
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from stemline.separation.errors import TooMuchMetadata
from stemline.separation.media import MediaLimits, open_audio
from tests.ffmpeg_files import Workshop
from tests.media import Kind, make, tone
from tests.media_formats import FORMATS

LIMITS = MediaLimits(max_duration_s=3600, max_bytes=10**9)
#: Bytes of metadata that each source has; the file is sparse.
MUCH = 200 << 20


def sparse(path: Path, start: bytes, size: int, end: bytes = b"") -> None:
    """Write `size` zeros between two pieces without storing them."""
    with path.open("wb") as file:
        file.write(start)
        file.seek(size, 1)
        file.write(end)
        file.truncate()


def flac(path: Path) -> None:
    song = make(path.with_suffix(".song.flac"), Kind("flac", "flac"), tone(1000)).read_bytes()
    with path.open("wb") as file:
        file.write(song[:42])
        for _ in range(MUCH // 0xFFFFFF + 1):
            file.write(b"\x06\xff\xff\xff")
            file.seek(0xFFFFFF, 1)
        file.write(song[42:])


def id3(path: Path) -> None:
    size = bytes(MUCH >> shift & 0x7F for shift in (21, 14, 7, 0))
    sparse(path, b"ID3\x04\0\0" + size, MUCH, b"\xff\xfb\x90\x00" + bytes(413))


def mp4(path: Path) -> None:
    song = make(path.with_suffix(".song.mp4"), Kind("mp4", "aac"), tone(44_100)).read_bytes()
    sparse(path, song + struct.pack(">I", MUCH + 8) + b"meta", MUCH)


def mp4_of_empty_boxes(path: Path) -> None:
    path.write_bytes(b"\0\0\0\x08ftyp" + b"\0\0\0\x08free" * (2 << 20))


MATROSKA = b"\x1a\x45\xdf\xa3\x80" + bytes.fromhex("18538067") + b"\x01" + b"\xff" * 7


def attachment(path: Path) -> None:
    sparse(path, MATROSKA + bytes.fromhex("1941a469") + b"\x01" + MUCH.to_bytes(7, "big"), MUCH)


def tags(path: Path) -> None:
    sparse(path, MATROSKA + bytes.fromhex("1254c367") + b"\x01" + MUCH.to_bytes(7, "big"), MUCH)


def empty_elements(path: Path) -> None:
    path.write_bytes(MATROSKA + b"\xec\x80" * (10 << 20))


def wav_list(path: Path) -> None:
    song = make(path.with_suffix(".song.wav"), Kind("wav", "pcm_s16le"), tone(1000)).read_bytes()
    sparse(path, song + b"LIST" + struct.pack("<I", MUCH), MUCH)


def aiff_id3(path: Path) -> None:
    song = make(path.with_suffix(".song.aiff"), Kind("aiff", "pcm_s16be"), tone(1000)).read_bytes()
    sparse(path, song + b"ID3 " + struct.pack(">I", MUCH), MUCH)


def caf_info(path: Path) -> None:
    song = make(path.with_suffix(".song.caf"), Kind("caf", "pcm_s16be"), tone(1000)).read_bytes()
    at = song.index(b"data")
    sparse(path, song[:at] + b"info" + struct.pack(">q", MUCH), MUCH, song[at:])


def wma_header(path: Path) -> None:
    kind = next(kind for kind in FORMATS if kind.name == "wma-wmav2")
    folder = path.parent / "inputs"
    folder.mkdir()
    song = bytearray(Workshop(folder).make(kind)["plain"].read_bytes())
    struct.pack_into("<Q", song, 16, MUCH)
    sparse(path, bytes(song), MUCH)


def au_annotation(path: Path) -> None:
    sparse(path, b".snd" + struct.pack(">IIIII", MUCH, 4000, 3, 44_100, 2), MUCH)


MAKERS: list[Callable[[Path], None]] = [
    flac, id3, mp4, mp4_of_empty_boxes, attachment, tags, empty_elements, wav_list, aiff_id3, caf_info,
    wma_header, au_annotation,
]  # fmt: skip


@pytest.mark.parametrize("maker", MAKERS, ids=lambda maker: maker.__name__)
def test_much_metadata_is_refused(maker: Callable[[Path], None], tmp_path: Path):
    """200 MB of any kind of metadata, or millions of empty parts, cost seconds and no memory."""
    path = tmp_path / "in.bin"
    maker(path)
    started = time.monotonic()
    tracemalloc.start()

    with pytest.raises(TooMuchMetadata):
        open_audio(path, limits=LIMITS)

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20
    assert time.monotonic() - started < 60
