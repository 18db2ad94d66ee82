"""Sun's and NeXT's au."""

from __future__ import annotations

from typing import BinaryIO

from stemline.separation.media.containers.structure import Structure


def matches(head: bytes) -> bool:
    """Return whether the file is an au."""
    return head[:4] == b".snd"


def read(file: BinaryIO, size: int) -> Structure:
    """Return the length of the header, which ends with an annotation of any length."""
    file.seek(4)
    return Structure(size, metadata_bytes=min(int.from_bytes(file.read(4), "big"), size))
