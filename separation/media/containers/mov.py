"""QuickTime and ISO base media: mov, mp4, m4a, 3gp (ISO 14496-12)."""

from __future__ import annotations

from dataclasses import replace
from typing import BinaryIO

from stemline.separation.media.containers.mov_samples import stored_samples
from stemline.separation.media.containers.structure import METADATA_MAX_BYTES, PART_BYTES, Structure

_HEADER_BYTES = 8
#: Boxes that FFmpeg does not read into memory.
_NOT_KEPT = (b"mdat", b"free", b"skip", b"wide")
_INDEX = b"moov"
_FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"wide")
#: Boxes that may follow the index and what it describes; anything else there is no part of the file.
_OUTERMOST = frozenset(
    {
        b"ftyp",
        b"styp",
        b"moov",
        b"moof",
        b"mdat",
        b"free",
        b"skip",
        b"wide",
        b"uuid",
        b"meta",
        b"sidx",
        b"ssix",
    }
    | {b"mfra", b"udta", b"pnot", b"emsg", b"prft", b"pdin", b"imda", b"PICT"}
)
#: Lengths with a meaning of their own: up to the end of the file, and "see the 64-bit length that follows".
_TO_THE_END, _IS_LONG = 0, 1


def matches(head: bytes) -> bool:
    """Return whether the file begins with a box that such files begin with."""
    return head[4:8] in _FIRST_BOXES


def read(file: BinaryIO, size: int) -> Structure:
    """Follow the outermost boxes, and look through the index among them."""
    found = _follow(file, size)
    if found.metadata_bytes > METADATA_MAX_BYTES:
        return found
    return replace(found, samples=stored_samples(file, size))


def _follow(file: BinaryIO, size: int) -> Structure:
    """Follow the outermost boxes, and look for the index among them."""
    at = 0
    lacks_index = True
    kinds: set[bytes] = set()
    metadata = 0
    while at < size and metadata <= METADATA_MAX_BYTES:
        file.seek(at)
        header = file.read(16)
        is_whole = {_INDEX, b"mdat"} <= kinds
        # Between fragments of one stream, a writer may repeat the beginning.
        is_last = b"moof" not in kinds or b"mfra" in kinds
        if is_whole and is_last and header[4:8] == b"ftyp":
            return Structure(size, end=at, metadata_bytes=metadata, next_file=at)
        if is_whole and _is_foreign(header, in_fragments=b"moof" in kinds):
            return Structure(size, end=at, metadata_bytes=metadata)
        kinds.add(header[4:8])
        if len(header) < _HEADER_BYTES:
            return Structure(size, end=at + _HEADER_BYTES, lacks_index=lacks_index)
        lacks_index = lacks_index and header[4:8] != _INDEX
        length = int.from_bytes(header[:4], "big")
        if length == _TO_THE_END:
            kept = 0 if header[4:8] in _NOT_KEPT else size - at
            return Structure(size, lacks_index=lacks_index, metadata_bytes=metadata + kept)
        if length == _IS_LONG:
            length = int.from_bytes(header[8:], "big")
        if length < _HEADER_BYTES:
            return Structure(size)
        metadata += PART_BYTES + (0 if header[4:8] in _NOT_KEPT else min(length, size - at))
        at += length
    return Structure(size, end=at, lacks_index=lacks_index, metadata_bytes=metadata)


def _is_foreign(header: bytes, *, in_fragments: bool) -> bool:
    """Return whether what follows a complete file is no box of it: a tag, a line's end, zeros."""
    if len(header) < _HEADER_BYTES:
        return not in_fragments  # it may be the start of the next fragment
    return header[4:8] not in _OUTERMOST
