"""Matroska and WebM (RFC 9559), in EBML (RFC 8794). FFmpeg passes over damaged clusters without an error."""

from __future__ import annotations

from typing import BinaryIO

from stemline.separation.media.containers.structure import Structure

_EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT = 0x18538067
_CLUSTER = 0x1F43B675
#: What a segment holds: seek head, info, tracks, clusters, cues, attachments, chapters, tags.
_IN_SEGMENT = frozenset(
    {0x114D9B74, 0x1549A966, 0x1654AE6B, _CLUSTER, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367}
)
#: Void and checksum, which are allowed everywhere.
_ANYWHERE = frozenset({0xEC, 0xBF})


def matches(head: bytes) -> bool:
    """Return whether the file begins with an EBML header."""
    return head[:4] == _EBML


def read(file: BinaryIO, size: int) -> Structure:
    """Follow the elements down to the blocks of each cluster."""
    name, length = _element(file)
    while name != _SEGMENT:
        start = file.tell()
        if name is None or length is None or start + length > size:
            return Structure(size, broken_at=start)
        file.seek(length, 1)
        name, length = _element(file)
    # A live stream's segment has no length: it ends with the file.
    end = None if length is None else file.tell() + length
    if end is not None and end > size:
        return Structure(size, end=end)
    return Structure(size, end=end, broken_at=_gap(file, size if end is None else end))


def _gap(file: BinaryIO, segment_end: int) -> int | None:
    """Return where the chain of elements in the segment breaks; None where it reaches `segment_end`."""
    cluster_end = 0  # of a cluster without a length: where the segment ends
    while (at := file.tell()) < segment_end:
        name, length = _element(file)
        start = file.tell()
        if name == _CLUSTER:
            cluster_end = segment_end if length is None else start + length
            if cluster_end > segment_end:
                return at
            continue
        in_segment = name in _IN_SEGMENT or (name in _ANYWHERE and start >= cluster_end)
        end = segment_end if in_segment else cluster_end
        if name is None or length is None or start + length > end:
            return at
        file.seek(length, 1)
    return None


def _element(file: BinaryIO) -> tuple[int | None, int | None]:
    """Read an element's name and length; no name where there is none, no length where it is unknown."""
    first = file.read(1)
    if not first or first[0] < 0x10:
        return None, None
    name = int.from_bytes(first + file.read(8 - first[0].bit_length()), "big")
    first = file.read(1)
    if not first or not first[0]:
        return None, None
    more = 8 - first[0].bit_length()
    unknown = (1 << 7 * (more + 1)) - 1
    length = int.from_bytes(first + file.read(more), "big") & unknown
    return name, None if length == unknown else length
