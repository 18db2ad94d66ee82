"""ASF: wma and wmv."""

from __future__ import annotations

from typing import BinaryIO

from stemline.separation.media.containers.structure import METADATA_MAX_BYTES, PART_BYTES, Structure

_HEADER_OBJECT = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_DATA_OBJECT = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
#: Identifier and length of an object; the header object's own has six bytes more.
_OBJECT_BYTES = 24
_HEADER_BYTES = 30


def matches(head: bytes) -> bool:
    """Return whether the file begins with the header object."""
    return head[:16] == _HEADER_OBJECT


def read(file: BinaryIO, size: int) -> Structure:
    """Add up the objects before the data: tags, pictures.

    The header object declares how long they are in all, but FFmpeg reads on to the data object.
    """
    file.seek(16)
    declared = min(int.from_bytes(file.read(8), "little"), size)
    total = 0
    at = _HEADER_BYTES
    while total <= METADATA_MAX_BYTES and at < size:
        file.seek(at)
        header = file.read(_OBJECT_BYTES)
        length = int.from_bytes(header[16:], "little")
        if header[:16] == _DATA_OBJECT or length < _OBJECT_BYTES:
            break
        total += max(PART_BYTES, min(length, size - at))
        at += length
    return Structure(size, metadata_bytes=max(declared, total))
