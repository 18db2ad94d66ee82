"""FLAC (RFC 9639)."""

from __future__ import annotations

from typing import BinaryIO

from stemline.separation.media.containers.structure import METADATA_MAX_BYTES, PART_BYTES, Structure

_IS_LAST, _KIND = 0x80, 0x7F
_PADDING = 1


def matches(head: bytes) -> bool:
    """Return whether the file is a flac."""
    return head[:4] == b"fLaC"


def read(file: BinaryIO, size: int) -> Structure:
    """Add up the metadata blocks; padding, which FFmpeg skips, counts as a part alone."""
    total = 0
    file.seek(4)
    while total <= METADATA_MAX_BYTES and len(header := file.read(4)) == 4:
        length = int.from_bytes(header[1:], "big")
        total += PART_BYTES + (0 if header[0] & _KIND == _PADDING else length)
        if header[0] & _IS_LAST:
            break
        file.seek(length, 1)
    return Structure(size, metadata_bytes=total)
