"""Elementary streams of MPEG audio (mp3, aac), and every other file without a signature of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

from stemline.separation.media.containers.structure import METADATA_MAX_BYTES, PART_BYTES, Structure
from stemline.separation.media.containers.tag_search import longest_tags
from stemline.separation.media.mpeg import Frame, parse_frame
from stemline.separation.media.tags import tag_bytes

#: Bytes in which the header frame is looked for.
_SEARCHED_BYTES = 4096
#: Bytes that are read at once.
_BLOCK_BYTES = 1 << 20
#: Bytes by which a frame or tag is recognised.
_HEAD_BYTES = 32
#: Frames from which the average of a stream can be estimated, where the rest cannot be followed.
_FEW_FRAMES = 100


def matches(_head: bytes) -> bool:
    """Return True: these files are recognised by FFmpeg alone."""
    return True


def read(file: BinaryIO, size: int) -> Structure:
    """Find the count of frames in the Xing, Info or VBRI header of an mp3; follow the frames without one.

    A header counts one file, but more may have been appended: a mono one is followed all the same.
    """
    start = file.read(_SEARCHED_BYTES)
    frames = _frames(start)
    totals = _follow(file, until_stereo=frames is not None)
    metadata_bytes = totals.metadata_bytes
    if metadata_bytes <= METADATA_MAX_BYTES:
        metadata_bytes += longest_tags(file, 0, size)
    if frames is not None:
        return Structure(
            size,
            frames=frames,
            skipped_samples=_skipped_samples(start),
            channels=totals.channels,
            metadata_bytes=metadata_bytes,
        )
    if totals.frames < _FEW_FRAMES and totals.end < size:
        return Structure(size, metadata_bytes=metadata_bytes)
    return Structure(
        size,
        duration_s=totals.seconds if totals.frames and totals.end >= size else None,
        bitrate_kbps=round(totals.bytes * 8 / totals.seconds / 1000) if totals.varies else None,
        channels=totals.channels,
        metadata_bytes=metadata_bytes,
    )


def _frames(start: bytes) -> int | None:
    for mark in (b"Xing", b"Info"):
        at = start.find(mark)
        if at >= 0 and len(start) >= at + 12 and start[at + 7] & 1:
            return int.from_bytes(start[at + 8 : at + 12], "big") or None
    at = start.find(b"VBRI")
    return int.from_bytes(start[at + 14 : at + 18], "big") or None if at >= 0 else None


def _skipped_samples(start: bytes) -> int:
    """Return the samples of delay and padding that LAME's part of the header counts; up to 8,190."""
    at = max(start.find(b"Xing"), start.find(b"Info"))
    flags = start[at + 7] if at >= 0 and at + 8 <= len(start) else 0
    # Frames, bytes, seek table and quality precede it, each if its flag is set; 21 bytes on are both numbers.
    lame = at + 8 + 4 * (flags & 1) + 2 * (flags & 2) + 25 * (flags & 4) + (flags & 8) // 2
    field = start[lame + 21 : lame + 24]
    if at < 0 or len(field) < 3 or start[lame : lame + 3] not in (b"LAM", b"Lav"):
        return 0
    both = int.from_bytes(field, "big")
    return (both >> 12) + (both & 0xFFF)


@dataclass(slots=True)
class _Totals:
    """What the frames of a stream add up to, and where the last one ends."""

    frames: int = 0
    bytes: int = 0
    seconds: float = 0.0
    channels: int = 0
    varies: bool = False
    end: int = 0
    metadata_bytes: int = 0


def _follow(file: BinaryIO, *, until_stereo: bool) -> _Totals:
    """Follow the frames, and the tags between them, as far as they reach, or to the first stereo one."""
    totals = _Totals()
    first: Frame | None = None
    offset, block = 0, b""
    while True:
        at = totals.end - offset
        if at + _HEAD_BYTES > len(block):
            file.seek(totals.end)
            offset, block, at = totals.end, file.read(_BLOCK_BYTES), 0
        frame = parse_frame(block[at : at + 8])
        if frame is None:
            length = tag_bytes(block[at : at + _HEAD_BYTES])
            if not length:
                return totals
            totals.end += length
            totals.metadata_bytes += PART_BYTES
            if totals.metadata_bytes > METADATA_MAX_BYTES:
                return totals
            continue
        first = first or frame
        totals.varies = totals.varies or (frame.kbps or frame.bytes) != (first.kbps or first.bytes)
        totals.frames += 1
        totals.bytes += frame.bytes
        totals.seconds += frame.seconds
        totals.channels = max(totals.channels, frame.channels)
        totals.end += frame.bytes
        if until_stereo and totals.channels > 1:
            return totals
