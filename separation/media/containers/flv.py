"""Flash video."""

from __future__ import annotations

from typing import BinaryIO

from stemline.separation.media.containers.structure import METADATA_MAX_BYTES, PART_BYTES, Structure

_HEADER_BYTES = 9
#: Length of the tag before, and the header of a tag.
_BETWEEN_BYTES, _TAG_HEADER_BYTES = 4, 11
_AUDIO, _VIDEO = 8, 9


def matches(head: bytes) -> bool:
    """Return whether the file is an flv."""
    return head[:3] == b"FLV"


def read(file: BinaryIO, size: int) -> Structure:
    """Add up the tags that are neither audio nor video: scripts, which hold names, values and an index."""
    total = 0
    file.seek(5)
    at = int.from_bytes(file.read(4), "big") or _HEADER_BYTES
    while total <= METADATA_MAX_BYTES and at < size:
        file.seek(at + _BETWEEN_BYTES)
        header = file.read(_TAG_HEADER_BYTES)
        if matches(header):
            return Structure(size, metadata_bytes=total, next_file=at + _BETWEEN_BYTES)
        length = int.from_bytes(header[1:4], "big")
        if header[:1] and header[0] & 0x1F not in {_AUDIO, _VIDEO}:
            total += PART_BYTES + length
        at += _BETWEEN_BYTES + _TAG_HEADER_BYTES + length
    return Structure(size, metadata_bytes=total)
