"""Flash video."""

from __future__ import annotations

from typing import BinaryIO

from stemline.separation.media.containers.structure import METADATA_MAX_BYTES, PART_BYTES, Structure

_HEADER_BYTES = 9
#: Length of the tag before, and the header of a tag.
_BETWEEN_BYTES, _TAG_HEADER_BYTES = 4, 11
_AUDIO, _VIDEO, _SCRIPT = 8, 9, 18


def matches(head: bytes) -> bool:
    """Return whether the file is an flv."""
    return head[:3] == b"FLV"


def read(file: BinaryIO, size: int) -> Structure:
    """Add up the tags that are neither audio nor video: scripts, which hold names, values and an index.

    The end is that of the last tag to which the chain of tags leads.
    """
    total = before = 0
    end: int | None = None
    file.seek(5)
    at = int.from_bytes(file.read(4), "big") or _HEADER_BYTES
    while total <= METADATA_MAX_BYTES and at < size:
        file.seek(at)
        link = int.from_bytes(file.read(_BETWEEN_BYTES), "big")
        header = file.read(_TAG_HEADER_BYTES)
        if matches(header):
            return Structure(size, metadata_bytes=total, next_file=at + _BETWEEN_BYTES)
        length = int.from_bytes(header[1:4], "big")
        if header[:1] and header[0] & 0x1F not in {_AUDIO, _VIDEO}:
            total += PART_BYTES + length
        at += _BETWEEN_BYTES + _TAG_HEADER_BYTES + length
        is_tag = (
            len(header) == _TAG_HEADER_BYTES
            and header[0] in {_AUDIO, _VIDEO, _SCRIPT}
            and not any(header[8:])
        )
        if link == before and is_tag:
            end = at
        before = _TAG_HEADER_BYTES + length
    return Structure(size, end=end, metadata_bytes=total)
