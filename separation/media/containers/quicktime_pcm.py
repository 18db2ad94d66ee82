"""The description of PCM samples in QuickTime files (QuickTime File Format, sound sample descriptions).

FFmpeg chooses the width of samples by their valid bits, and reads noise where each takes more bytes than
these need. Where the valid bits are the upper ones, such samples are read as they are stored.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, Final

from stemline.separation.errors import UndecodableMedia

#: Most boxes of one index that are looked at.
_MOST_BOXES: Final = 10_000
_WITHIN: Final = (b"trak", b"mdia", b"minf", b"stbl", b"stsd")
#: Bytes of `stsd` before its entries: version, flags and their number.
_BEFORE_ENTRIES: Final = 8
#: Of a description of the second version, the longest.
_ENTRY_BYTES: Final = 72
#: Formats whose width FFmpeg takes from the bits, and one whose name says it.
_BY_BITS, _IN_24, _IN_32 = (b"twos", b"sowt", b"raw ", b"NONE"), b"in24", b"in32"
_FLOAT, _PACKED, _HIGH = 0x1, 0x8, 0x10


def corrections(file: BinaryIO, start: int, end: int) -> dict[int, bytes]:
    """Return what has to stand in an index so that FFmpeg reads samples as wide as they are stored.

    Args:
        file: The file.
        start: Where the boxes within `moov` begin.
        end: Where they end.

    Returns:
        Bytes by their position in the file.

    Raises:
        UndecodableMedia: The valid bits of a sample are the lower ones of those that it takes.
    """
    found: dict[int, bytes] = {}
    for at in _entries(file, start, end):
        file.seek(at)
        entry = file.read(_ENTRY_BYTES)
        version = int.from_bytes(entry[16:18], "big")
        if version == 2 and len(entry) == _ENTRY_BYTES and entry[4:8] == b"lpcm":
            found.update(_of_second_version(entry, at))
        elif version in {0, 1} and len(entry) >= 48:
            found.update(_of_first_versions(entry, at))
    return found


def _of_second_version(entry: bytes, at: int) -> dict[int, bytes]:
    channels, _, bits, flags, block, frames = struct.unpack_from(">6I", entry, 48)
    if flags & _FLOAT or frames != 1 or not channels or block % channels:
        return {}
    width = block // channels
    if width not in range(1, 5) or not 0 < bits < 8 * width:
        return {}
    if not flags & (_PACKED | _HIGH):
        raise UndecodableMedia("The source has samples in the lower bits of wider words: convert it first.")
    return {at + 56: struct.pack(">I", 8 * width)}


def _of_first_versions(entry: bytes, at: int) -> dict[int, bytes]:
    kind, channels = entry[4:8], int.from_bytes(entry[24:26], "big")
    bits = int.from_bytes(entry[26:28], "big")
    width = -(-bits // 8)
    if entry[16:18] == b"\0\1" and channels:
        per_packet, _, block = struct.unpack_from(">3I", entry, 36)
        if per_packet == 1 and block % channels == 0:
            width = max(width, block // channels)
    if width not in range(1, 5):
        return {}
    if kind == _IN_24 and width == 4:
        return {at + 4: _IN_32}
    if kind in _BY_BITS and bits != 8 * width:
        return {at + 26: struct.pack(">H", 8 * width)}
    return {}


def _entries(file: BinaryIO, start: int, end: int) -> Iterator[int]:
    """Yield where the sample descriptions of all tracks begin."""
    left = _MOST_BOXES
    within = [(start, end, b"moov")]
    while within:
        at, end, parent = within.pop()
        while at + 8 <= end and (left := left - 1) > 0:
            file.seek(at)
            header = file.read(8)
            length = int.from_bytes(header[:4], "big")
            if length < 8:
                break
            if parent == b"stsd":
                yield at
            elif header[4:8] in _WITHIN:
                skipped = _BEFORE_ENTRIES if header[4:8] == b"stsd" else 0
                within.append((at + 8 + skipped, min(at + length, end), header[4:8]))
            at += length
