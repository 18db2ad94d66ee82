"""The description of PCM samples in QuickTime and ISO base media (QuickTime File Format; ISO 23003-5).

FFmpeg chooses the width of samples by their valid bits or their name, and reads noise where each takes more
bytes. The number of bytes stands beside them: in a description of version 1 or 2, or as the size of samples.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

from stemline.separation.media.containers.stored_samples import (
    FLOAT_BYTES,
    INTEGER_BYTES,
    StoredSamples,
    StreamsSamples,
    cannot_read,
    of_streams,
)

_BOX = struct.Struct(">I4s")
#: Instead of a length: one of 64 bits follows.
_IS_LONG = 1
_PATH = (b"mdia", b"minf", b"stbl")
#: A description behind its box's head: reserved, version, channels, bits, rate; then those of version 1 or 2.
_HEAD = struct.Struct(">8xH6xHH4xI")
_VERSION_1 = struct.Struct(">4I")
_VERSION_2 = struct.Struct(">4xdI4x4I")
_DESCRIPTION_BYTES = _HEAD.size + _VERSION_2.size
#: Where a description holds its name, its bits, and in version 2 the valid bits; from its box's start.
_NAME_AT, _BITS_AT, _VALID_BITS_AT = 4, 26, 56
#: Box, version and flags, number of descriptions.
_DESCRIPTIONS_AT = 16
#: Flags of `lpcm`. Where neither of the latter two is set, the lower bits of a sample are valid.
_IS_FLOAT, _IS_SIGNED, _IS_PACKED, _IS_ALIGNED_HIGH, _IS_PLANAR = 0x1, 0x4, 0x8, 0x10, 0x20
#: Bytes of a sample by the name of its codec; None where the description's bits say it.
_BYTES_BY_NAME = {
    b"twos": None,
    b"sowt": None,
    b"raw ": None,
    b"NONE": None,
    b"\0\0\0\0": None,
    b"ipcm": None,
    b"in24": 3,
    b"in32": 4,
    b"fl32": 4,
    b"fl64": 8,
}
_FLOATS = (b"fl32", b"fl64")
_CONTRADICTION = StoredSamples(unreadable="The description of the source's samples contradicts itself.")
#: Most tracks that are looked at, and children of a box.
_MAX_BOXES = 1_000


def stored_samples(file: BinaryIO, size: int) -> StreamsSamples:
    """Look through the tracks of a file.

    Args:
        file: The opened file.
        size: Length of the file, bytes.
    """
    index = next(((start, end) for name, start, end in _boxes(file, 0, size) if name == b"moov"), (0, 0))
    tracks = [(start, end) for name, start, end in _boxes(file, *index) if name == b"trak"]
    return of_streams(
        (number, _of_track(file, first, last, size)) for number, (first, last) in enumerate(tracks)
    )


def _of_track(file: BinaryIO, start: int, end: int, size: int) -> StoredSamples:
    """Compare the width of a track's samples with the one that FFmpeg takes."""
    for name in _PATH:
        inner = next(((first, last) for each, first, last in _boxes(file, start, end) if each == name), None)
        if inner is None:
            return StoredSamples()
        start, end = inner
    tables = {name: first for name, first, _ in _boxes(file, start, end)}
    if b"stsd" not in tables or b"stsz" not in tables:
        return StoredSamples()
    file.seek(tables[b"stsz"] + 4)
    sample_bytes, samples = struct.unpack(">II", file.read(8).ljust(8, b"\0"))
    at = tables[b"stsd"] + _DESCRIPTIONS_AT - _BOX.size
    file.seek(at)
    description = file.read(_BOX.size + _DESCRIPTION_BYTES)
    return _of_description(description, at, sample_bytes, size // max(samples, 1))


def _of_description(box: bytes, at: int, sample_bytes: int, max_bytes: int) -> StoredSamples:
    """Compare the width of samples with the one that FFmpeg takes.

    Args:
        box: The description.
        at: Its position.
        sample_bytes: Bytes of a sample of all channels; 0 or 1 where the table of sizes does not say it.
        max_bytes: More bytes for each sample than this do not fit in the file.
    """
    name = box[_NAME_AT : _NAME_AT + 4]
    if len(box) < _BOX.size + _DESCRIPTION_BYTES or name not in (b"lpcm", *_BYTES_BY_NAME):
        return StoredSamples()
    version, channels, bits, _ = _HEAD.unpack_from(box, _BOX.size)
    if version == 2:
        _, channels, bits, flags, block, frames = _VERSION_2.unpack_from(box, _BOX.size + _HEAD.size)
        if name == b"lpcm":
            is_whole = frames == 1 and channels and block and block % channels == 0
            return _of_lpcm(bits, flags, block // channels, channels, at) if is_whole else _CONTRADICTION
    elif version == 1:
        frames, _, block, _ = _VERSION_1.unpack_from(box, _BOX.size + _HEAD.size)
    else:
        frames, block = 1, sample_bytes
    agrees = sample_bytes in (0, 1, block)
    if frames != 1 or not channels or block % channels or not agrees or not channels <= block <= max_bytes:
        return StoredSamples()
    return _of_named(name, bits, block // channels, at)


def _of_named(name: bytes, bits: int, width: int, at: int) -> StoredSamples:
    """Return how samples of so many bytes are read, which a codec's name and the bits describe."""
    taken = _BYTES_BY_NAME.get(name)
    if taken is None:
        # FFmpeg knows 8, 16, 24 and 32 bits, and takes 16 for all others.
        taken = bits // 8 if bits in (8, 16, 24, 32) else 2
    if width == taken:
        return StoredSamples()
    if name in _FLOATS or name == b"ipcm" or width not in (2, 3, 4) or width < taken:
        return cannot_read(bits, width, is_float=name in _FLOATS)
    if name in (b"in24", b"in32"):
        return StoredSamples({at + _NAME_AT: b"in%d" % (8 * width)})
    corrected = b"sowt" if name == b"sowt" else b"twos"
    return StoredSamples({at + _NAME_AT: corrected, at + _BITS_AT: struct.pack(">H", 8 * width)})


def _of_lpcm(bits: int, flags: int, width: int, channels: int, at: int) -> StoredSamples:
    """Return how samples of so many bytes are read that a description of version 2 describes."""
    is_float = bool(flags & _IS_FLOAT)
    is_low = not is_float and bits < 8 * width and not flags & (_IS_PACKED | _IS_ALIGNED_HIGH)
    fits = bits == 8 * width if is_float else 0 < bits <= 8 * width
    if (
        width not in (FLOAT_BYTES if is_float else INTEGER_BYTES)
        or not fits
        or (flags & _IS_PLANAR and channels > 1)
        or (is_low and not flags & _IS_SIGNED)
    ):
        return cannot_read(bits, width, is_float=is_float)
    if bits == 8 * width:
        return StoredSamples()
    scale = 2.0 ** (8 * width - bits) if is_low else 1.0
    return StoredSamples({at + _VALID_BITS_AT: struct.pack(">I", 8 * width)}, scale=scale)


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name of each box between two positions, and where its content begins and ends."""
    for _ in range(_MAX_BOXES):
        file.seek(start)
        head = file.read(_BOX.size)
        if start + _BOX.size > end or len(head) < _BOX.size:
            return
        length, name = _BOX.unpack(head)
        content = start + _BOX.size
        if length == _IS_LONG:
            length = int.from_bytes(file.read(8), "big")
            content += 8
        if start + length < content or start + length > end:
            return
        yield name, content, start + length
        start += length
