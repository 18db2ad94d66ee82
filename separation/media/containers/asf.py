"""ASF: wma and wmv."""

from __future__ import annotations

from typing import BinaryIO

from stemline.separation.media.containers.structure import Structure

_HEADER_OBJECT = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")


def matches(head: bytes) -> bool:
    """Return whether the file begins with the header object."""
    return head[:16] == _HEADER_OBJECT


def read(file: BinaryIO, size: int) -> Structure:
    """Return the length of the header object, which holds tags and pictures."""
    file.seek(16)
    return Structure(size, metadata_bytes=min(int.from_bytes(file.read(8), "little"), size))
