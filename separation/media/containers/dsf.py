"""Sony's DSD stream file."""

from __future__ import annotations

from typing import BinaryIO

from stemline.separation.media.containers.structure import Structure

#: Where the header names the tag that ends the file, and its own length.
_TAG_AT, _HEADER_BYTES = 20, 28
#: Name and length of a chunk; the length counts them.
_CHUNK_HEADER_BYTES = 12
_FORMAT, _DATA = b"fmt ", b"data"


def matches(head: bytes) -> bool:
    """Return whether the file is a dsf."""
    return head[:4] == b"DSD "


def read(file: BinaryIO, size: int) -> Structure:
    """Return the end of the sound, which follows the header and the format, and the length of the tag."""
    file.seek(_TAG_AT)
    tag = int.from_bytes(file.read(8), "little")
    end = _HEADER_BYTES
    for name in (_FORMAT, _DATA):
        file.seek(end)
        header = file.read(_CHUNK_HEADER_BYTES)
        length = int.from_bytes(header[4:], "little")
        if header[:4] != name or length < _CHUNK_HEADER_BYTES:
            return Structure(size, metadata_bytes=_tag_bytes(tag, size))
        end += length
    return Structure(size, end=end, metadata_bytes=_tag_bytes(tag, size))


def _tag_bytes(start: int, size: int) -> int:
    return size - start if 0 < start < size else 0
