"""Apple's Core Audio Format."""

from __future__ import annotations

import struct
from typing import BinaryIO

from stemline.separation.media.containers.structure import (
    METADATA_MAX_BYTES,
    PART_BYTES,
    Structure,
    without_excess,
)

#: The audio description: rate, codec, flags, and per packet bytes, frames, channels, bits.
_DESC_BYTES = 32
_BITS_AT = 28
#: Chunks that FFmpeg does not read into memory.
_NOT_KEPT = (b"data", b"free")


def matches(head: bytes) -> bool:
    """Return whether the file is a caf."""
    return head[:4] == b"caff"


def read(file: BinaryIO, size: int) -> Structure:
    """Find the end of the `data` chunk; its length is negative where the writer could not seek back."""
    packet_frames = metadata = 0
    corrections: dict[int, bytes] = {}
    data_end: int | None = None
    next_file: int | None = None
    file.seek(8)
    while metadata <= METADATA_MAX_BYTES and len(header := file.read(12)) == 12:
        if matches(header):
            next_file = file.tell() - len(header)
            break
        length = int.from_bytes(header[4:], "big", signed=True)
        end = file.tell() + length
        if header[:4] == b"desc":
            at, description = file.tell(), file.read(_DESC_BYTES)
            packet_frames = int.from_bytes(description[20:24], "big")
            corrections = _corrections(description, at)
        if header[:4] == b"data":
            data_end = without_excess(end, size) if length > 0 else None
        if length < 0:
            break
        if data_end is None and length > size:
            data_end = end
            break
        metadata += PART_BYTES + (0 if header[:4] in _NOT_KEPT else min(length, size))
        if end > size:
            break
        file.seek(end)
    return Structure(
        size,
        end=data_end,
        packet_frames=packet_frames,
        metadata_bytes=metadata,
        next_file=next_file,
        corrections=corrections,
    )


def _corrections(description: bytes, at: int) -> dict[int, bytes]:
    """Return the bits of a PCM sample as they are stored, where fewer are valid: see `wave_format`."""
    if len(description) < _DESC_BYTES or description[8:12] != b"lpcm":
        return {}
    packet, frames, channels, bits = struct.unpack(">4I", description[16:])
    if frames != 1 or not channels or packet % channels:
        return {}
    width = packet // channels
    is_wider = width in range(1, 5) and bits > 0 and -(-bits // 8) < width
    return {at + _BITS_AT: struct.pack(">I", 8 * width)} if is_wider else {}
