"""FLAC (RFC 9639)."""

from __future__ import annotations

from typing import BinaryIO

from fastcrc import crc8

from stemline.separation.media.containers.structure import METADATA_MAX_BYTES, PART_BYTES, Structure
from stemline.separation.media.containers.tag_search import longest_tags

_IS_LAST, _KIND = 0x80, 0x7F
_STREAMINFO, _PADDING = 0, 1
#: How a file begins: its signature, and the header of the block with rate, channels and length.
_START = b"fLaC\0\0\0\x22"
_BLOCK_BYTES = 1 << 20
#: The longest header of a frame up to its number.
FRAME_HEAD_BYTES = 11
#: Samples of the longest frame.
FRAME_MAX_SAMPLES = 65_535
_SYNC_BYTE = b"\xff"
_SHORTEST_HEADER_BYTES = 6
#: What may follow the number in a header: lengths, rate and checksum.
_MAX_HEADER_TAIL_BYTES = 5
#: More than the longest frame has.
_TAIL_BYTES = 1 << 20


def matches(head: bytes) -> bool:
    """Return whether the file is a flac."""
    return head[:4] == b"fLaC"


def read(file: BinaryIO, size: int) -> Structure:
    """Add up the metadata blocks, and look at the first and last frame and for another file behind it.

    Padding, which FFmpeg skips, counts as a part alone.
    """
    total = frame_length = rate = 0
    file.seek(4)
    while total <= METADATA_MAX_BYTES and len(header := file.read(4)) == 4:
        length = int.from_bytes(header[1:], "big")
        total += PART_BYTES + (0 if header[0] & _KIND == _PADDING else length)
        if header[0] & _KIND == _STREAMINFO:
            frame_length = int.from_bytes(file.read(2), "big")
            rate = int.from_bytes(file.read(11)[8:], "big") >> 4
            length -= 13
        file.seek(length, 1)
        if header[0] & _IS_LAST:
            break
    start = file.tell()
    first = sample_number(file.read(FRAME_HEAD_BYTES), frame_length)
    next_file = None
    if total <= METADATA_MAX_BYTES:
        next_file = _find(file, start)
        total += longest_tags(file, start, next_file or size)
    duration_s = None
    if (
        rate
        and next_file is None
        and (end := _last_sample(file, max(start, size - _TAIL_BYTES), frame_length))
    ):
        # Not the header's: a program that cuts without encoding leaves the length of the whole there.
        duration_s = max(end - first, 0) / rate or None
    return Structure(
        size,
        metadata_bytes=total,
        first_sample=first,
        frame_samples=frame_length,
        duration_s=duration_s,
        next_file=next_file,
    )


def _last_sample(file: BinaryIO, start: int, frame_length: int) -> int | None:
    """Return the number of the sample behind the last frame that begins after the byte `start`."""
    file.seek(start)
    tail = file.read()
    at = len(tail)
    while (at := tail.rfind(_SYNC_BYTE, 0, at)) >= 0:
        head = tail[at : at + FRAME_HEAD_BYTES + _MAX_HEADER_TAIL_BYTES]
        if samples := _frame_samples(head):
            return sample_number(head, frame_length) + samples
    return None


def _frame_samples(head: bytes) -> int:
    """Return how many samples a frame holds; 0 where its header is none, by its checksum."""
    if len(head) < _SHORTEST_HEADER_BYTES or head[1] & 0xFE != 0xF8 or head[2] & 0xF == 0xF or head[3] & 1:
        return 0
    more = max(8 - (head[4] ^ 0xFF).bit_length(), 1) - 1
    at, size, rate = 5 + more, head[2] >> 4, head[2] & 0xF
    size_bytes, rate_bytes = {6: 1, 7: 2}.get(size, 0), {12: 1, 13: 2, 14: 2}.get(rate, 0)
    end = at + size_bytes + rate_bytes
    if len(head) <= end or crc8.smbus(head[:end]) != head[end]:
        return 0
    if size_bytes:
        return int.from_bytes(head[at : at + size_bytes], "big") + 1
    if size >= 8:
        return 256 << (size - 8)
    return (192, 576, 1152, 2304, 4608)[size - 1] if size else 0


def sample_number(head: bytes, frame_length: int) -> int:
    """Return the number of a frame's first sample; 0 where `head` is no frame.

    Args:
        head: How the frame begins.
        frame_length: Samples of each frame where their length is fixed.
    """
    if len(head) < FRAME_HEAD_BYTES or head[0] != 0xFF or head[1] & 0xFE != 0xF8:
        return 0
    # The number is written as UTF-8 writes a character, in up to seven bytes.
    more = max(8 - (head[4] ^ 0xFF).bit_length(), 1) - 1
    number = head[4] & (0x7F >> (more + 1 if more else 0))
    for byte in head[5 : 5 + more]:
        number = number << 6 | byte & 0x3F
    return number if head[1] & 1 else number * frame_length


def _find(file: BinaryIO, start: int) -> int | None:
    """Return the byte at which another file begins behind `start`."""
    file.seek(start)
    tail = b""
    while block := file.read(_BLOCK_BYTES):
        window = tail + block
        if (found := window.find(_START)) >= 0:
            return file.tell() - len(window) + found
        tail = window[1 - len(_START) :]
    return None
