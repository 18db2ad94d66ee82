"""Sony's Wave64."""

from __future__ import annotations

from typing import BinaryIO

from stemline.separation.media.containers import wave_format
from stemline.separation.media.containers.stored_samples import of_streams
from stemline.separation.media.containers.structure import (
    METADATA_MAX_BYTES,
    PART_BYTES,
    Structure,
    without_excess,
)

_RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")
_FORMAT = bytes.fromhex("666d7420f3acd3118cd100c04f8edb8a")
_DATA = bytes.fromhex("64617461f3acd3118cd100c04f8edb8a")
#: The file's header: two identifiers and a length.
_FILE_HEADER_BYTES = 40
#: Identifier and length of a chunk; the length counts them, and chunks begin at multiples of 8.
_CHUNK_HEADER_BYTES = 24
#: Lengths from here on are no lengths: the writer could not seek back.
_UNKNOWN = 1 << 62


def matches(head: bytes) -> bool:
    """Return whether the file is a Wave64."""
    return head[:16] == _RIFF


def read(file: BinaryIO, size: int) -> Structure:
    """Add up the chunks that are no sound, and find the end of the data."""
    total = 0
    start = 0
    form_at = 0
    form = b""
    end: int | None = None
    next_file: int | None = None
    at = _FILE_HEADER_BYTES
    while total <= METADATA_MAX_BYTES and at < size:
        file.seek(at)
        header = file.read(_CHUNK_HEADER_BYTES)
        if matches(header):
            next_file = at
            break
        length = int.from_bytes(header[16:], "little")
        if length < _CHUNK_HEADER_BYTES:
            break
        if header[:16] == _FORMAT:
            form = file.read(min(length - _CHUNK_HEADER_BYTES, wave_format.FORMAT_BYTES))
            form_at = at + _CHUNK_HEADER_BYTES
        if header[:16] == _DATA and length < _UNKNOWN:
            start, end = at + _CHUNK_HEADER_BYTES, without_excess(at + length, size)
        total += PART_BYTES + (0 if header[:16] == _DATA else min(length, size - at))
        at += length + -length % 8
    found = wave_format.stored_samples(form, form_at, lambda: wave_format.first_sound(file, start))
    return Structure(
        size,
        end=end,
        metadata_bytes=total,
        next_file=next_file,
        stream_bytes={} if end is None else {0: end - start},
        samples=of_streams([(0, found)]),
    )
