"""Apple's Core Audio Format."""

from __future__ import annotations

from typing import BinaryIO

from stemline.separation.media.containers.structure import Structure


def matches(head: bytes) -> bool:
    """Return whether the file is a caf."""
    return head[:4] == b"caff"


def read(file: BinaryIO, size: int) -> Structure:
    """Find the end of the `data` chunk; its length is negative where the writer could not seek back."""
    file.seek(8)
    while len(header := file.read(12)) == 12:
        length = int.from_bytes(header[4:], "big", signed=True)
        end = file.tell() + length
        if header[:4] == b"data":
            return Structure(size, end=end if length > 0 else None)
        if length < 0:
            break
        if length > size:
            return Structure(size, end=end)
        file.seek(end)
    return Structure(size)
