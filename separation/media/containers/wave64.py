"""Sony's Wave64."""

from __future__ import annotations

from typing import BinaryIO

from stemline.separation.media.containers import wave_format
from stemline.separation.media.containers.stored_samples import corrected, of_streams
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
#: Where the length is in a chunk's header, and in the file's.
_LENGTH_AT = 16
#: Lengths from here on are no lengths: the writer could not seek back.
_UNKNOWN = 1 << 62


def matches(head: bytes) -> bool:
    """Return whether the file is a Wave64."""
    return head[:16] == _RIFF


def read(file: BinaryIO, size: int) -> Structure:
    """Add up the chunks that are no sound, and find the end of the data."""
    total = start = form_at = 0
    form = b""
    shown: dict[int, bytes] = {}
    file.seek(_LENGTH_AT)
    if not _FILE_HEADER_BYTES <= int.from_bytes(file.read(8), "little") < _UNKNOWN:
        shown[_LENGTH_AT] = size.to_bytes(8, "little")
    end: int | None = None
    next_file: int | None = None
    at = _FILE_HEADER_BYTES
    while total <= METADATA_MAX_BYTES and at < size:
        file.seek(at)
        header = file.read(_CHUNK_HEADER_BYTES)
        if matches(header):
            next_file = at
            break
        length = int.from_bytes(header[_LENGTH_AT:], "little")
        if header[:16] == _DATA and start:  # the format has one, and FFmpeg reads the last
            shown[at] = bytes(len(_DATA))
        elif header[:16] == _DATA:
            start = at + _CHUNK_HEADER_BYTES
            if not _CHUNK_HEADER_BYTES <= length < _UNKNOWN:
                shown[at + _LENGTH_AT] = max(size - at, _CHUNK_HEADER_BYTES).to_bytes(8, "little")
                break
            end = without_excess(at + length, size)
        if length < _CHUNK_HEADER_BYTES:
            break
        if header[:16] == _FORMAT:
            form = file.read(min(length - _CHUNK_HEADER_BYTES, wave_format.FORMAT_BYTES))
            form_at = at + _CHUNK_HEADER_BYTES
        total += PART_BYTES + (0 if header[:16] == _DATA else min(length, size - at))
        at += length + -length % 8
    found = wave_format.stored_samples(form, form_at, lambda: wave_format.first_sound(file, start))
    return Structure(
        size,
        end=end,
        metadata_bytes=total,
        next_file=next_file,
        stream_bytes={} if end is None else {0: end - start},
        samples=corrected(of_streams([(0, found)]), shown),
    )
