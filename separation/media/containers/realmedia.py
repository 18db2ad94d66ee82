"""RealMedia."""

from __future__ import annotations

from typing import BinaryIO

from stemline.separation.media.containers.structure import METADATA_MAX_BYTES, PART_BYTES, Structure

_HEADER_BYTES = 8


def matches(head: bytes) -> bool:
    """Return whether the file is a RealMedia file."""
    return head[:4] == b".RMF"


def read(file: BinaryIO, size: int) -> Structure:
    """Add up the chunks that are no sound: properties, descriptions of streams, indexes."""
    total = at = 0
    while total <= METADATA_MAX_BYTES and at < size:
        file.seek(at)
        header = file.read(_HEADER_BYTES)
        length = int.from_bytes(header[4:], "big")
        if length < _HEADER_BYTES:
            break
        total += PART_BYTES + (0 if header[:4] == b"DATA" else min(length, size - at))
        at += length
    return Structure(size, metadata_bytes=total)
