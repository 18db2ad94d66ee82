"""RIFF, RF64 and BW64: wav and avi."""

from __future__ import annotations

from typing import BinaryIO

from stemline.separation.media.containers.structure import (
    METADATA_MAX_BYTES,
    PART_BYTES,
    Structure,
    without_excess,
)

#: Forms of more than 4 GiB, whose sizes are in a chunk of their own (EBU Tech 3306, ITU-R BS.2088).
_LONG_FORMS = (b"RF64", b"BW64")
#: Chunks that FFmpeg does not read into memory.
_NOT_KEPT = (b"data", b"JUNK", b"junk", b"PAD ", b"FLLR", b"bext")
_IN_DS64 = 0xFFFFFFFF


def matches(head: bytes) -> bool:
    """Return whether the file is a RIFF form."""
    return head[:4] in (b"RIFF", *_LONG_FORMS)


def read(file: BinaryIO, size: int) -> Structure:
    """Find the end of a wav's `data` chunk, or of an avi's outermost chunk."""
    form = file.read(12)
    if form[8:] == b"AVI ":
        length = int.from_bytes(form[4:8], "little")
        end = None if _is_placeholder(length) else 8 + length
        return Structure(size, end=end, metadata_bytes=_avi_metadata_bytes(file, size))
    end = _data_end(file, is_long=form[:4] in _LONG_FORMS)
    return Structure(size, end=without_excess(end, size), metadata_bytes=_metadata_bytes(file, size))


def _data_end(file: BinaryIO, *, is_long: bool) -> int | None:
    long_length = 0
    while len(header := file.read(8)) == 8:
        name, length = header[:4], int.from_bytes(header[4:], "little")
        start = file.tell()
        if name == b"data":
            if is_long and length == _IN_DS64:
                return start + long_length
            return None if _is_placeholder(length) else start + length
        if name == b"ds64":
            long_length = int.from_bytes(file.read(16)[8:], "little")
        file.seek(start + length + length % 2)
    return None


def _metadata_bytes(file: BinaryIO, size: int) -> int:
    """Add up the chunks that are no sound, up to one whose length says nothing."""
    total = 0
    file.seek(12)
    while total <= METADATA_MAX_BYTES and len(header := file.read(8)) == 8:
        name, length = header[:4], int.from_bytes(header[4:], "little")
        if name == b"data" and _is_placeholder(length):
            break
        total += PART_BYTES + (0 if name in _NOT_KEPT else min(length, size - file.tell()))
        file.seek(length + length % 2, 1)
    return total


def _avi_metadata_bytes(file: BinaryIO, size: int) -> int:
    """Add up the headers, texts and indexes of all forms of an avi: its first, and those above 1 GiB."""
    total = 0
    file.seek(0)
    while total <= METADATA_MAX_BYTES and len(header := file.read(12)) == 12:
        name, length, form = header[:4], int.from_bytes(header[4:8], "little"), header[8:]
        total += PART_BYTES
        if name == b"RIFF":
            continue
        if name not in _NOT_KEPT and form != b"movi":
            total += min(length, size - file.tell())
        file.seek(length + length % 2 - 4, 1)
    return total


def _is_placeholder(length: int) -> bool:
    """Return whether a writer that could not seek back left this length, so that it says nothing."""
    return length == 0 or 0x7FFFF000 <= length <= 0x80000000 or length >= 0xFFFFFF00
