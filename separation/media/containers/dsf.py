"""Sony's DSD stream file."""

from __future__ import annotations

from typing import BinaryIO

from stemline.separation.media.containers.structure import Structure


def matches(head: bytes) -> bool:
    """Return whether the file is a dsf."""
    return head[:4] == b"DSD "


def read(file: BinaryIO, size: int) -> Structure:
    """Return the length of the tag that ends the file."""
    file.seek(20)
    tag = int.from_bytes(file.read(8), "little")
    return Structure(size, metadata_bytes=size - tag if 0 < tag < size else 0)
