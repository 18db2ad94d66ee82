"""ASF: wma and wmv."""

from __future__ import annotations

from typing import BinaryIO

from stemline.separation.media.containers.structure import METADATA_MAX_BYTES, PART_BYTES, Structure

_HEADER_OBJECT = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_DATA_OBJECT = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
#: Identifier and length of an object; the header object's own has six bytes more.
_OBJECT_BYTES = 24
_HEADER_BYTES = 30
_DATA_HEADER_BYTES = 50
#: Where the file's properties hold the length of every packet.
_PACKET_LENGTH_AT = 92
#: The first byte of a packet whose beginning is the same in all packets: flags of its error correction.
_HAS_CORRECTION = 0x80
_CORRECTION_BYTES = 3


def matches(head: bytes) -> bool:
    """Return whether the file begins with the header object."""
    return head[:16] == _HEADER_OBJECT


def read(file: BinaryIO, size: int) -> Structure:
    """Add up the objects before the data (tags, pictures), and follow its packets, which are equally long.

    The header object declares how long the objects are in all, but FFmpeg reads on to the data object, and
    passes over damaged packets without an error.
    """
    file.seek(16)
    declared = min(int.from_bytes(file.read(8), "little"), size)
    total = packet_bytes = 0
    broken_at: int | None = None
    at = _HEADER_BYTES
    while total <= METADATA_MAX_BYTES and at < size:
        file.seek(at)
        header = file.read(_OBJECT_BYTES)
        length = int.from_bytes(header[16:], "little")
        if header[:16] == _DATA_OBJECT:
            end = min(at + length, size) if length > _DATA_HEADER_BYTES else size
            broken_at = _broken_at(file, at + _DATA_HEADER_BYTES, end, packet_bytes)
            break
        if length < _OBJECT_BYTES:
            break
        if header[:16] == _FILE_PROPERTIES:
            file.seek(at + _PACKET_LENGTH_AT)
            packet_bytes = int.from_bytes(file.read(4), "little")
        total += max(PART_BYTES, min(length, size - at))
        at += length
    return Structure(size, broken_at=broken_at, metadata_bytes=max(declared, total))


def _broken_at(file: BinaryIO, start: int, end: int, packet_bytes: int) -> int | None:
    """Return where a packet does not begin as the first one does; None where nothing can be said."""
    if packet_bytes < PART_BYTES:
        return None
    file.seek(start)
    first = file.read(_CORRECTION_BYTES)
    if not first or not first[0] & _HAS_CORRECTION:
        return None
    for at in range(start, end - _CORRECTION_BYTES, packet_bytes):
        file.seek(at)
        if file.read(_CORRECTION_BYTES) != first:
            return at
    return None
