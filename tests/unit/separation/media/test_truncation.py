"""Truncated files, recognised by their structure."""

from __future__ import annotations

import io
import struct

import pytest

from stemline.separation.errors import TruncatedMedia
from stemline.separation.media.checks import ends_early
from stemline.separation.media.containers import HEAD_BYTES, Structure, read_structure


def structure(data: bytes) -> Structure:
    return read_structure(io.BytesIO(data), data[:HEAD_BYTES], len(data))


def wav(declared: int, held: int, *, extra: bytes = b"") -> bytes:
    form = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 8000, 1, 8)
    return (
        b"RIFF"
        + struct.pack("<I", min(36 + declared, 0xFFFFFFFF))
        + b"WAVE"
        + extra
        + form
        + b"data"
        + struct.pack("<I", declared)
        + bytes(held)
    )


def rf64(declared: int, held: int) -> bytes:
    ds64 = b"ds64" + struct.pack("<IQQQI", 28, 0, declared, 0, 0)
    return b"RF64" + b"\xff" * 4 + wav(0xFFFFFFFF, held, extra=ds64)[8:]


def boxes(*sizes: int, held: int) -> bytes:
    return (
        b"".join(struct.pack(">I", size) + b"ftyp" + bytes(size - 8) for size in sizes[:-1])
        + struct.pack(">I", sizes[-1])
        + b"mdat"
        + bytes(held)
    )


def ogg(segments: bytes, held: int) -> bytes:
    return b"OggS\0\0" + bytes(20) + bytes([len(segments)]) + segments + bytes(held)


def matroska(size: bytes, held: int) -> bytes:
    return b"\x1aE\xdf\xa3\x82ab" + b"\x18S\x80g" + size + bytes(held)


def caf(declared: int, held: int) -> bytes:
    return (
        b"caff\0\1\0\0"
        b"desc" + struct.pack(">q", 4) + bytes(4) + b"data" + struct.pack(">q", declared) + bytes(held)
    )


def dsf(declared: int, held: int) -> bytes:
    header = (
        b"DSD " + struct.pack("<QQQ", 28, 80 + 12 + declared, 0) + b"fmt " + struct.pack("<Q", 52) + bytes(40)
    )
    return header + b"data" + struct.pack("<Q", 12 + declared) + bytes(held)


def dff(declared: int, held: int) -> bytes:
    return (
        b"FRM8" + struct.pack(">Q", 16 + declared) + b"DSD DSD " + struct.pack(">Q", declared) + bytes(held)
    )


def voc(declared: int, held: int) -> bytes:
    head = b"Creative Voice File\x1a\x1a\0\x0a\1\x29\x11"
    return head + b"\1" + (2 + declared).to_bytes(3, "little") + b"\xa5\0" + b"\x80" * held + b"\0"


WHOLE = {
    "wav": wav(100, 100),
    "wav of a recorder that counts its header": wav(300 + 44, 300),
    "caf of a recorder that counts too much": caf(300 + 100, 300),
    "wav with more behind": wav(100, 150),
    "wav of a pipe": wav(0xFFFFFFFF, 100),
    "wav of another pipe": wav(0x7FFFF000, 100),
    "wav never finished": wav(0, 100),
    "wav with an odd chunk": wav(100, 100, extra=b"junk" + struct.pack("<I", 3) + bytes(4)),
    "rf64": rf64(100, 100),
    "mp4": boxes(16, 8 + 50, held=50),
    "mp4 to the end": boxes(16, 0, held=50),
    "ogg": ogg(b"\x0a\x14", 30),
    "ogg with a tag behind": ogg(b"\x0a\x14", 60),
    "matroska": matroska(b"\x84", 4),
    "matroska of a live stream": matroska(b"\xff", 4),
    "matroska with a long size": matroska(b"\x01\0\0\0\0\0\0\x04", 4),
    "caf": caf(10, 10),
    "voc": voc(80, 80),
    "voc of SoX, which counts too few bytes": voc(80, 88),
    "dsf": dsf(80, 80),
    "dsf with a tag": dsf(80, 80) + b"ID3" + bytes(20),
    "dff": dff(80, 80),
    "caf of a pipe": caf(-1, 10),
    "avi": b"RIFF" + struct.pack("<I", 20) + b"AVI " + bytes(16),
    "ts": (b"G" + bytes(187)) * 3,
    "anything else": b"\xff\xfb\x90\x00" + bytes(50),
    "nothing": b"",
}
TRUNCATED = {
    "wav": wav(300, 199),
    "rf64": rf64(300, 199),
    "mp4": boxes(16, 8 + 50, held=49),
    "mp4 in a header": boxes(16, 8 + 50, held=50) + b"\0\0",
    "ogg in the data": ogg(b"\x0a\x14", 29),
    "ogg in the segment table": ogg(b"\x0a\x14", 0)[:-1],
    "ogg in the header": ogg(b"\x0a\x14", 30) + b"OggS\0\0\0",
    "matroska": matroska(b"\x84", 3),
    "matroska with a long size": matroska(b"\x01\0\0\0\0\0\0\x04", 3),
    "caf": caf(300, 199),
    "voc": voc(80, 78),
    "voc in its second block": voc(80, 80)[:-1] + b"\2\xff\xff\0" + bytes(20),
    "dsf": dsf(80, 79),
    "dff": dff(80, 79),
    "avi": b"RIFF" + struct.pack("<I", 20) + b"AVI " + bytes(15),
    "ts": (b"G" + bytes(187)) * 3 + b"G",
}


@pytest.mark.parametrize("data", WHOLE.values(), ids=WHOLE)
def test_whole_files_are_whole(data: bytes):
    """A file that ends where its structure ends, or whose structure does not say, is not truncated."""
    assert ends_early(structure(data)) is None


@pytest.mark.parametrize("data", TRUNCATED.values(), ids=TRUNCATED)
def test_truncated_files_are_recognised(data: bytes):
    """A file that ends before its structure ends is truncated."""
    assert isinstance(ends_early(structure(data)), TruncatedMedia)
