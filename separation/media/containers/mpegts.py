"""MPEG transport streams (ISO 13818-1)."""

from __future__ import annotations

from typing import BinaryIO

from stemline.separation.media.containers.structure import Structure

PACKET_BYTES = 188
_SYNC = b"G"


def matches(head: bytes) -> bool:
    """Return whether the file begins with two packets."""
    return head[:1] == _SYNC and head[PACKET_BYTES : PACKET_BYTES + 1] == _SYNC


def read(file: BinaryIO, size: int) -> Structure:
    """Return the end of the last packet; they are all of one length. Something else may follow it."""
    last = size // PACKET_BYTES * PACKET_BYTES
    file.seek(last)
    is_packet = file.read(1) == _SYNC
    return Structure(size, end=last + PACKET_BYTES if is_packet else None)
