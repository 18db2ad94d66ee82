"""Philips' DSD interchange file (DSDIFF)."""

from __future__ import annotations

from typing import BinaryIO

from stemline.separation.media.containers.structure import METADATA_MAX_BYTES, PART_BYTES, Structure

_FORM, _DSD = b"FRM8", b"DSD "
#: Name and length of a chunk; the length counts neither.
_CHUNK_HEADER_BYTES = 12
_FIRST_CHUNK_AT = 16
#: Chunks that FFmpeg does not read into memory: sound, not compressed and compressed.
_NOT_KEPT = (b"DSD ", b"DST ")


def matches(head: bytes) -> bool:
    """Return whether the file is a dff."""
    return head[:4] == _FORM and head[12:16] == _DSD


def read(file: BinaryIO, size: int) -> Structure:
    """Follow the chunks: where the last one ends, and how much of them is no sound."""
    total, at = 0, _FIRST_CHUNK_AT
    file.seek(4)
    end = _CHUNK_HEADER_BYTES + int.from_bytes(file.read(8), "big")
    while total <= METADATA_MAX_BYTES and at < min(end, size):
        file.seek(at)
        header = file.read(_CHUNK_HEADER_BYTES)
        length = int.from_bytes(header[4:], "big")
        total += PART_BYTES + (0 if header[:4] in _NOT_KEPT else min(length, size - at))
        at += _CHUNK_HEADER_BYTES + length + length % 2
    return Structure(size, end=end, metadata_bytes=total)
