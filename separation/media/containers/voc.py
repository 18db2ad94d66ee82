"""Creative's voc."""

from __future__ import annotations

from typing import BinaryIO

from stemline.separation.media.containers.structure import METADATA_MAX_BYTES, PART_BYTES, Structure

_SIGNATURE = b"Creative Voice File\x1a"
_TERMINATOR = b"\0"
#: Blocks that hold sound: with a header of their own, continued, and in the newer format.
_SOUND = (1, 2, 9)
#: Bytes at the end that are no block: SoX counts 8 of its sound too few, and the terminator follows them.
_REST_BYTES = 16


def matches(head: bytes) -> bool:
    """Return whether the file is a voc."""
    return head.startswith(_SIGNATURE)


def read(file: BinaryIO, size: int) -> Structure:
    """Follow the blocks up to the terminator, or to the end of the file."""
    file.seek(len(_SIGNATURE))
    at = int.from_bytes(file.read(2), "little")
    metadata = at
    while at < size and metadata <= METADATA_MAX_BYTES:
        file.seek(at)
        header = file.read(4)
        if header[:1] == _TERMINATOR:
            return Structure(size, end=at + 1, metadata_bytes=metadata)
        length = int.from_bytes(header[1:], "little")
        if at + 4 + length > size and size - at <= _REST_BYTES:
            return Structure(size, end=at, metadata_bytes=metadata)
        metadata += PART_BYTES + (0 if header[0] in _SOUND else length)
        at += 4 + length
    return Structure(size, end=at, metadata_bytes=metadata)
