"""True Audio."""

from __future__ import annotations

import struct
from typing import BinaryIO

from stemline.separation.media.containers.structure import METADATA_MAX_BYTES, Structure

#: Signature, format, channels, bits, rate, samples, checksum.
_HEADER = struct.Struct("<4s3H3I")
_CHECKSUM_BYTES = 4
#: Samples of a frame in a second, by the format's definition.
_FRAME_RATIO = (256, 245)


def matches(head: bytes) -> bool:
    """Return whether the file is a tta."""
    return head[:4] == b"TTA1"


def read(file: BinaryIO, size: int) -> Structure:
    """Add up the frames, whose lengths are listed before the first one."""
    header = file.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return Structure(size, end=_HEADER.size)
    *_, rate, samples, _checksum = _HEADER.unpack(header)
    frame = max(rate * _FRAME_RATIO[0] // _FRAME_RATIO[1], 1)
    count = -(-samples // frame)
    table_bytes = 4 * count + _CHECKSUM_BYTES
    if table_bytes > METADATA_MAX_BYTES:
        return Structure(size, metadata_bytes=table_bytes)
    table = file.read(4 * count)
    if len(table) < 4 * count:
        return Structure(size, end=_HEADER.size + table_bytes)
    frames = sum(length for (length,) in struct.iter_unpack("<I", table))
    return Structure(size, end=_HEADER.size + table_bytes + frames, metadata_bytes=table_bytes)
