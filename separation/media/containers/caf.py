"""Apple's Core Audio Format."""

from __future__ import annotations

from typing import BinaryIO

from stemline.separation.media.containers.structure import (
    METADATA_MAX_BYTES,
    PART_BYTES,
    Structure,
    without_excess,
)

#: The audio description: rate, codec, flags, and per packet bytes, frames, channels, bits.
_DESC_BYTES = 32


def matches(head: bytes) -> bool:
    """Return whether the file is a caf."""
    return head[:4] == b"caff"


def read(file: BinaryIO, size: int) -> Structure:
    """Find the end of the `data` chunk; its length is negative where the writer could not seek back."""
    packet_frames = metadata = 0
    file.seek(8)
    while metadata <= METADATA_MAX_BYTES and len(header := file.read(12)) == 12:
        length = int.from_bytes(header[4:], "big", signed=True)
        end = file.tell() + length
        if header[:4] == b"desc":
            packet_frames = int.from_bytes(file.read(_DESC_BYTES)[20:24], "big")
        if header[:4] == b"data":
            data_end = without_excess(end, size) if length > 0 else None
            return Structure(size, end=data_end, packet_frames=packet_frames, metadata_bytes=metadata)
        if length < 0:
            break
        if length > size:
            return Structure(size, end=end)
        metadata += PART_BYTES + (0 if header[:4] == b"free" else length)
        file.seek(end)
    return Structure(size, metadata_bytes=metadata)
