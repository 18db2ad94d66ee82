"""MPEG program streams (ISO 11172-1, 13818-1): mpg and vob."""

from __future__ import annotations

from typing import BinaryIO

from stemline.separation.media.containers.structure import Structure

_PREFIX = b"\0\0\1"
_PACK, _END = 0xBA, 0xB9
#: Where the last pack is looked for; a pack has a few kilobytes.
_TAIL_BYTES = 1 << 20
#: Fixed bytes of a pack header, in the first and in the second version of the format.
_PACK_BYTES, _PACK_2_BYTES = 12, 14


def matches(head: bytes) -> bool:
    """Return whether the file begins with a pack."""
    return head[:4] == _PREFIX + bytes((_PACK,))


def read(file: BinaryIO, size: int) -> Structure:
    """Follow the packets of the last pack."""
    start = max(size - _TAIL_BYTES, 0)
    file.seek(start)
    tail = file.read(_TAIL_BYTES)
    at = tail.rfind(_PREFIX + bytes((_PACK,)))
    while 0 <= at < len(tail) and tail[at : at + 3] == _PREFIX:
        header = tail[at : at + _PACK_2_BYTES]
        if len(header) > 3 and header[3] == _END:
            at += 4
            break
        at += _part_bytes(header)
    return Structure(size, end=start + at if at > len(tail) else None)


def _part_bytes(header: bytes) -> int:
    """Return the length of a pack header or a packet that begins so; of an incomplete one, at least it."""
    if len(header) < 6:
        return 6
    if header[3] != _PACK:
        return 6 + int.from_bytes(header[4:6], "big")
    if header[4] >> 6 != 1:
        return _PACK_BYTES
    return _PACK_2_BYTES + (header[13] & 7 if len(header) == _PACK_2_BYTES else 0)
