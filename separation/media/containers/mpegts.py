"""MPEG transport streams (ISO 13818-1)."""

from __future__ import annotations

from typing import BinaryIO

from stemline.separation.media.containers.structure import Structure

PACKET_BYTES = 188
_SYNC = b"G"


def matches(head: bytes) -> bool:
    """Return whether the file begins with two packets."""
    return head[:1] == _SYNC and head[PACKET_BYTES : PACKET_BYTES + 1] == _SYNC


def read(_file: BinaryIO, size: int) -> Structure:
    """Return the end of the last packet; they are all of one length."""
    return Structure(size, end=-(-size // PACKET_BYTES) * PACKET_BYTES)
