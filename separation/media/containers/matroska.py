"""Matroska and WebM (RFC 9559), in EBML (RFC 8794). FFmpeg passes over damaged clusters without an error."""

from __future__ import annotations

from typing import BinaryIO

from stemline.separation.media.containers.ebml import element
from stemline.separation.media.containers.matroska_samples import stored_samples
from stemline.separation.media.containers.structure import METADATA_MAX_BYTES, PART_BYTES, Structure

_EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT = 0x18538067
_CLUSTER = 0x1F43B675
#: What a segment holds: seek head, info, tracks, clusters, cues, attachments, chapters, tags.
_IN_SEGMENT = frozenset(
    {0x114D9B74, 0x1549A966, 0x1654AE6B, _CLUSTER, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367}
)
#: What holds further elements within those: entries of the seek head, tracks, cues, attachments, chapters and
#: tags, and their parts.
_HOLDERS = frozenset(
    {0x4DBB, 0xAE, 0xE0, 0xE1, 0xE2, 0xE3, 0x6D80, 0x6240, 0x5034, 0x5035, 0xBB, 0xB7, 0xDB, 0x61A7}
    | {0x45B9, 0xB6, 0x80, 0x6944, 0x6911, 0x7373, 0x63C0, 0x67C8}
)
_SIMPLE_TAG = 0x67C8
#: What a tag counts for: FFmpeg compares each with all before it.
_SIMPLE_TAG_BYTES = 1024
#: Block groups and simple blocks, which hold the audio.
_BLOCKS = frozenset({0xA0, 0xA3})
#: Void and checksum, which are allowed everywhere.
_ANYWHERE = frozenset({0xEC, 0xBF})
#: The first byte of a name is no less; name and length have no more bytes.
_MIN_NAME, _HEAD_MAX_BYTES = b"\x10", 12


def matches(head: bytes) -> bool:
    """Return whether the file begins with an EBML header."""
    return head[:4] == _EBML


def read(file: BinaryIO, size: int) -> Structure:
    """Follow the elements down to the blocks of each cluster."""
    name, length = element(file)
    metadata = 0
    while name != _SEGMENT:
        start = file.tell()
        metadata += PART_BYTES
        if metadata > METADATA_MAX_BYTES:
            return Structure(size, metadata_bytes=metadata)
        if name is None or length is None:
            is_cut = start >= size
            return Structure(size, end=size + 1 if is_cut else None, broken_at=None if is_cut else start)
        if start + length > size:
            return Structure(size, end=start + length)
        file.seek(length, 1)
        name, length = element(file)
    # A live stream's segment has no length: it ends with the file.
    end = None if length is None else file.tell() + length
    if end is not None and end > size:
        return Structure(size, end=end)
    start = file.tell()
    samples = stored_samples(file, size if end is None else end)
    file.seek(start)
    broken_at, metadata = _follow(file, size if end is None else end)
    next_file = None
    if broken_at is not None and end is None and _starts_at(file, broken_at):
        broken_at, next_file = None, broken_at
    if broken_at is not None and end is None and (reaches := _reaches(file, broken_at, size)):
        return Structure(size, end=reaches, metadata_bytes=metadata)
    return Structure(
        size,
        end=end,
        broken_at=broken_at,
        metadata_bytes=metadata,
        next_file=next_file,
        # A program that cuts without encoding, and cannot go back, leaves the duration of the whole.
        lacks_lengths=end is None,
        samples=samples,
    )


def _starts_at(file: BinaryIO, at: int) -> bool:
    """Return whether another file begins there."""
    file.seek(at)
    return matches(file.read(len(_EBML)))


def _reaches(file: BinaryIO, at: int, size: int) -> int | None:
    """Return where an element of a live stream ends whose rest was cut off; None where there is none."""
    file.seek(at)
    name, length = element(file)
    start = file.tell()
    if name is None:
        file.seek(at)
        begins = file.read(1) >= _MIN_NAME and size - at < _HEAD_MAX_BYTES
        return size + 1 if begins else None
    is_part = name in _IN_SEGMENT | _BLOCKS | _ANYWHERE
    return start + length if is_part and length is not None and start + length > size else None


def _follow(file: BinaryIO, segment_end: int) -> tuple[int | None, int]:
    """Return where the chain of elements in the segment breaks, and how many bytes of it are metadata.

    The first is None where the chain reaches `segment_end`, or holds more metadata than a source may have.
    """
    metadata = 0
    cluster_end = 0  # of a cluster without a length: where the segment ends
    while (at := file.tell()) < segment_end and metadata <= METADATA_MAX_BYTES:
        name, length = element(file)
        start = file.tell()
        if name == _CLUSTER:
            cluster_end = segment_end if length is None else start + length
            if cluster_end > segment_end:
                return at, metadata
            continue
        in_segment = name in _IN_SEGMENT or (name in _ANYWHERE and start >= cluster_end)
        end = segment_end if in_segment else cluster_end
        if name is None or length is None or start + length > end:
            return at, metadata
        if name not in _BLOCKS:
            metadata += PART_BYTES
        if name in _IN_SEGMENT:
            metadata += length + _count_inner(file, start + length, METADATA_MAX_BYTES - metadata - length)
        file.seek(start + length)
    return None, metadata


def _count_inner(file: BinaryIO, end: int, most: int) -> int:
    """Return what the elements up to `end`, at all depths, count for; little more than `most`."""
    total = 0
    while file.tell() < end and total <= most:
        name, length = element(file)
        if name is None or length is None or file.tell() + length > end:
            break
        total += _SIMPLE_TAG_BYTES if name == _SIMPLE_TAG else PART_BYTES
        if name not in _HOLDERS:
            file.seek(length, 1)
    return total
