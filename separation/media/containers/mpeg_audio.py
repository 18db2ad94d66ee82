"""Bare MPEG audio (mp3), and every other file without a signature of its own."""

from __future__ import annotations

from typing import BinaryIO

from stemline.separation.media.containers.structure import Structure
from stemline.separation.media.tags import tag_bytes

#: Bytes after the ID3 tag in which the header frame is looked for.
_SEARCHED_BYTES = 4096


def matches(_head: bytes) -> bool:
    """Return True: these files are recognised by FFmpeg alone."""
    return True


def read(file: BinaryIO, size: int) -> Structure:
    """Find the count of frames in the Xing, Info or VBRI header of an mp3."""
    file.seek(tag_bytes(file.read(32)))
    return Structure(size, frames=_frames(file.read(_SEARCHED_BYTES)))


def _frames(start: bytes) -> int | None:
    for mark in (b"Xing", b"Info"):
        at = start.find(mark)
        if at >= 0 and len(start) >= at + 12 and start[at + 7] & 1:
            return int.from_bytes(start[at + 8 : at + 12], "big") or None
    at = start.find(b"VBRI")
    return int.from_bytes(start[at + 14 : at + 18], "big") or None if at >= 0 else None
