"""ASF: wma and wmv."""

from __future__ import annotations

from typing import BinaryIO

from stemline.separation.media.containers import wave_format
from stemline.separation.media.containers.stored_samples import StoredSamples, of_streams
from stemline.separation.media.containers.structure import METADATA_MAX_BYTES, PART_BYTES, Structure

_HEADER_OBJECT = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_DATA_OBJECT = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_STREAM_PROPERTIES = bytes.fromhex("9107dcb7b7a9cf118ee600c00c205365")
_AUDIO = bytes.fromhex("409e69f84d5bcf11a8fd00805f5c442b")
#: Where a stream's properties hold its kind, and the description of its samples.
_KIND_AT, _FORMAT_AT = 24, 78
#: Identifier and length of an object; the header object's own has six bytes more.
_OBJECT_BYTES = 24
_HEADER_BYTES = 30
_DATA_HEADER_BYTES = 50
#: Where the file's properties hold the length of the file.
_FILE_SIZE_AT = 40
#: Where the file's properties hold flags, and behind them the length of every packet.
_FLAGS_AT = 88
_IS_BROADCAST = 1
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
    is_live = False
    file_bytes = size
    end: int | None = None
    broken_at: int | None = None
    next_file: int | None = None
    samples: list[StoredSamples] = []
    at = _HEADER_BYTES
    while total <= METADATA_MAX_BYTES and at < size:
        file.seek(at)
        header = file.read(_OBJECT_BYTES)
        length = int.from_bytes(header[16:], "little")
        if header[:16] == _DATA_OBJECT:
            end = at + length if length > _DATA_HEADER_BYTES and not is_live else None
            stop = min(end or size, size)
            broken_at = _broken_at(file, at + _DATA_HEADER_BYTES, stop, packet_bytes)
            next_file = _next_file(file, end, size)
            break
        if length < _OBJECT_BYTES:
            break
        if header[:16] == _FILE_PROPERTIES:
            file.seek(at + _FILE_SIZE_AT)
            # FFmpeg estimates the duration where this is not the length of the file.
            file_bytes = int.from_bytes(file.read(8), "little")
            file.seek(at + _FLAGS_AT)
            is_live = bool(int.from_bytes(file.read(4), "little") & _IS_BROADCAST)
            packet_bytes = int.from_bytes(file.read(4), "little")
        if header[:16] == _STREAM_PROPERTIES:
            samples.append(_samples(file, at))
        total += max(PART_BYTES, min(length, size - at))
        at += length
    return Structure(
        size,
        end=end,
        broken_at=broken_at,
        lacks_lengths=is_live or file_bytes != (next_file or size),
        metadata_bytes=max(declared, total),
        next_file=next_file,
        samples=of_streams(enumerate(samples)),
    )


def _samples(file: BinaryIO, at: int) -> StoredSamples:
    """Return how the samples of a stream are stored, by its properties at a position."""
    file.seek(at)
    properties = file.read(_FORMAT_AT + wave_format.FORMAT_BYTES)
    if properties[_KIND_AT:].startswith(_AUDIO):
        return wave_format.stored_samples(properties[_FORMAT_AT:], at + _FORMAT_AT)
    return StoredSamples()


def _next_file(file: BinaryIO, end: int | None, size: int) -> int | None:
    """Return where another file starts, behind the data that ends at `end` and the indexes."""
    at = end
    while at is not None and at < size:
        file.seek(at)
        header = file.read(_OBJECT_BYTES)
        if matches(header):
            return at
        length = int.from_bytes(header[16:], "little")
        at = at + length if length >= _OBJECT_BYTES else None
    return None


def _broken_at(file: BinaryIO, start: int, end: int, packet_bytes: int) -> int | None:
    """Return where a packet does not begin as the first one does; None where nothing can be said."""
    if packet_bytes < PART_BYTES:
        return None
    file.seek(start)
    first = file.read(_CORRECTION_BYTES)
    if not first or not first[0] & _HAS_CORRECTION:
        return None
    # A recording of a stream ends with a mark that is shorter than a packet.
    for at in range(start, end - packet_bytes + 1, packet_bytes):
        file.seek(at)
        if file.read(_CORRECTION_BYTES) != first:
            return at
    return None
