"""Walks through containers whose demuxers pass over damage without a word: Ogg pages, Matroska clusters."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import BinaryIO

_OGG_HEADER = 27
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))

_EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT = 0x18538067
_CLUSTER = 0x1F43B675
#: What a segment holds: seek head, info, tracks, clusters, cues, attachments, chapters, tags.
_IN_SEGMENT = frozenset(
    {0x114D9B74, 0x1549A966, 0x1654AE6B, _CLUSTER, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367}
)
#: Void and checksum, which may stand anywhere.
_ANYWHERE = frozenset({0xEC, 0xBF})


def is_damaged(path: Path) -> bool:
    """Say whether the pages or clusters of an Ogg or Matroska file do not follow one another as they should.

    Of other files nothing is said.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(4)
        file.seek(0)
        if head == b"OggS":
            return _ogg_is_damaged(file)
        if head == _EBML:
            return _matroska_is_damaged(file, size)
    return False


def ogg_checksum(page: bytes) -> int:
    """Return the checksum of a page: CRC-32 with polynomial 0x04C11DB7, most significant bit first, start 0.

    zlib's is the same one in a mirror.
    """
    mirrored = zlib.crc32(page.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)


def _ogg_is_damaged(file: BinaryIO) -> bool:
    while len(header := file.read(_OGG_HEADER)) == _OGG_HEADER and header[:5] == b"OggS\0":
        segments = file.read(header[26])
        body = file.read(sum(segments))
        if len(segments) < header[26] or len(body) < sum(segments):
            return False
        blank = header[:22] + bytes(4) + header[26:]
        if ogg_checksum(blank + segments + body) != int.from_bytes(header[22:26], "little"):
            return True
    # A foreign tag may follow the last page, but no page may follow something foreign.
    rest = header
    while block := file.read(1 << 20):
        if b"OggS\0" in rest + block:
            return True
        rest = block[-4:]
    return b"OggS\0" in header


def _matroska_is_damaged(file: BinaryIO, size: int) -> bool:
    name, length = _element(file)
    while name != _SEGMENT:
        if name is None or length is None or file.tell() + length > size:
            return True
        file.seek(length, 1)
        name, length = _element(file)
    segment_end = size if length is None else file.tell() + length
    cluster_end = 0  # of a cluster without a length: where the segment ends
    while file.tell() < segment_end:
        name, length = _element(file)
        start = file.tell()
        if name == _CLUSTER:
            cluster_end = segment_end if length is None else start + length
            if cluster_end > segment_end:
                return True
            continue
        in_segment = name in _IN_SEGMENT or (name in _ANYWHERE and start >= cluster_end)
        end = segment_end if in_segment else cluster_end
        if name is None or length is None or start + length > end:
            return True
        file.seek(length, 1)
    return False


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
    everything = (1 << 7 * (more + 1)) - 1
    length = int.from_bytes(first + file.read(more), "big") & everything
    return name, None if length == everything else length
