"""Elements of EBML (RFC 8794), of which Matroska consists."""

from __future__ import annotations

from typing import BinaryIO


def element(file: BinaryIO) -> tuple[int | None, int | None]:
    """Read an element's name and length; no name where there is none, no length where it is unknown."""
    first = file.read(1)
    if not first or first[0] < 0x10:
        return None, None
    name = int.from_bytes(first + file.read(8 - first[0].bit_length()), "big")
    first = file.read(1)
    if not first or not first[0]:
        return None, None
    more = 8 - first[0].bit_length()
    unknown = (1 << 7 * (more + 1)) - 1
    length = int.from_bytes(first + file.read(more), "big") & unknown
    return name, None if length == unknown else length
