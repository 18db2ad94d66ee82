"""Apple's Core Audio Format."""

from __future__ import annotations

import struct
from typing import BinaryIO

from stemline.separation.media.containers.stored_samples import (
    INTEGER_BYTES,
    StoredSamples,
    cannot_read,
    corrected,
    of_streams,
)
from stemline.separation.media.containers.structure import (
    METADATA_MAX_BYTES,
    PART_BYTES,
    Structure,
    without_excess,
)

#: The audio description: rate, codec, flags, and per packet bytes, frames, channels, bits.
_DESC_BYTES = 32
_BITS_AT = 28
_IS_FLOAT = 1
#: Chunks that FFmpeg does not read into memory.
_NOT_KEPT = (b"data", b"free")


def matches(head: bytes) -> bool:
    """Return whether the file is a caf."""
    return head[:4] == b"caff"


def read(file: BinaryIO, size: int) -> Structure:
    """Find the end of the `data` chunk; its length is negative where the writer could not seek back.

    The format has one; of several FFmpeg reads the last.
    """
    packet_frames = metadata = 0
    samples = StoredSamples()
    has_data = False
    hidden: dict[int, bytes] = {}
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
            samples = _samples(description, at)
        if header[:4] == b"data" and has_data:
            hidden[file.tell() - len(header)] = b"free"
        elif header[:4] == b"data":
            has_data = True
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
        samples=corrected(of_streams([(0, samples)]), hidden),
    )


def _samples(description: bytes, at: int) -> StoredSamples:
    """Return how the samples of PCM are stored; of fewer valid bits, they are the upper ones."""
    if len(description) < _DESC_BYTES or description[8:12] != b"lpcm":
        return StoredSamples()
    flags, packet, frames, channels, bits = struct.unpack(">5I", description[12:])
    if frames != 1 or not channels or not packet or packet % channels or not bits:
        return StoredSamples()
    width, is_float = packet // channels, bool(flags & _IS_FLOAT)
    if bits == 8 * width:
        return StoredSamples()
    if is_float or width not in INTEGER_BYTES or bits > 8 * width:
        return cannot_read(bits, width, is_float=is_float)
    return StoredSamples({at + _BITS_AT: struct.pack(">I", 8 * width)})
