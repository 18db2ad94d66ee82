"""FLAC (RFC 9639)."""

from __future__ import annotations

from typing import BinaryIO

from stemline.separation.media.containers.structure import METADATA_MAX_BYTES, PART_BYTES, Structure

_IS_LAST, _KIND = 0x80, 0x7F
_STREAMINFO, _PADDING = 0, 1
#: How a file begins: its signature, and the header of the block with rate, channels and length.
_START = b"fLaC\0\0\0\x22"
_BLOCK_BYTES = 1 << 20
#: The longest header of a frame up to its number.
FRAME_HEAD_BYTES = 11
#: Samples of the longest frame.
FRAME_MAX_SAMPLES = 65_535


def matches(head: bytes) -> bool:
    """Return whether the file is a flac."""
    return head[:4] == b"fLaC"


def read(file: BinaryIO, size: int) -> Structure:
    """Add up the metadata blocks, and look at the first frame and for another file behind the last one.

    Padding, which FFmpeg skips, counts as a part alone.
    """
    total = frame_length = 0
    file.seek(4)
    while total <= METADATA_MAX_BYTES and len(header := file.read(4)) == 4:
        length = int.from_bytes(header[1:], "big")
        total += PART_BYTES + (0 if header[0] & _KIND == _PADDING else length)
        if header[0] & _KIND == _STREAMINFO:
            frame_length = int.from_bytes(file.read(2), "big")
            length -= 2
        file.seek(length, 1)
        if header[0] & _IS_LAST:
            break
    start = file.tell()
    return Structure(
        size,
        metadata_bytes=total,
        first_sample=sample_number(file.read(FRAME_HEAD_BYTES), frame_length),
        frame_samples=frame_length,
        next_file=_find(file, start) if total <= METADATA_MAX_BYTES else None,
    )


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
