"""Tags between and behind the frames of a stream whose parts cannot be followed from one to the next."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from stemline.separation.media.containers.structure import METADATA_MAX_BYTES
from stemline.separation.media.tags import TAG_HEAD_BYTES, tag_bytes

_BLOCK_BYTES = 1 << 20
_ID3V2, _ID3V2_HEAD_BYTES, _FRAME_NAME_BYTES = b"ID3", 10, 4
#: How each tag begins that `tag_bytes` knows.
_SIGNATURES = (_ID3V2, b"TAG", b"APETAGEX")
#: The bits that begin a frame of MPEG audio, of raw aac or of flac.
_SYNC = 0xFFE0


def longest_tags(file: BinaryIO, start: int, end: int) -> int:
    """Return the bytes of the longest run of tags from `start` to `end`, as far as they lie in the file.

    FFmpeg gathers in memory whatever stands between two frames, so runs do not add up.
    """
    longest = run = run_end = 0
    for at, length in _tags(file, start, end):
        run = (run if at == run_end else 0) + min(length, end - at)
        run_end = at + length
        longest = max(longest, run)
        if longest > METADATA_MAX_BYTES:
            break
    return longest


def _tags(file: BinaryIO, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield start and length of each tag."""
    at = start
    while at < end:
        file.seek(at)
        block = _Block(file.read(min(_BLOCK_BYTES + TAG_HEAD_BYTES, end - at)))
        block_start, at = at, at + _BLOCK_BYTES
        position = block.next_signature(0)
        while 0 <= position < _BLOCK_BYTES:
            head = block.content[position : position + TAG_HEAD_BYTES]
            length = tag_bytes(head)
            following = position + 1
            if length and _is_tag(file, head, block_start + position + length, end):
                yield block_start + position, length
                following = position + length
                at = max(at, block_start + following)
            position = block.next_signature(following)


class _Block:
    """A part of the file; each signature is searched in it once."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self._found = {signature: content.find(signature) for signature in _SIGNATURES}

    def next_signature(self, start: int) -> int:
        """Return where the next signature stands at `start` or behind it; -1 where there is none."""
        for signature, position in self._found.items():
            if 0 <= position < start:
                self._found[signature] = self.content.find(signature, start)
        return min((position for position in self._found.values() if position >= 0), default=-1)


def _is_tag(file: BinaryIO, head: bytes, tag_end: int, end: int) -> bool:
    """Return whether a signature begins a tag, and is not sound that looks like one.

    The three letters of an ID3v2 tag stand in one of 16 million places by chance. Its first frame has a name,
    or it holds nothing but padding; otherwise the end of the file, a tag or a frame must follow it.
    """
    if not head.startswith(_ID3V2):
        return True
    name = head[_ID3V2_HEAD_BYTES : _ID3V2_HEAD_BYTES + _FRAME_NAME_BYTES]
    if not any(name) or (name.isalnum() and name.isupper()):
        return True
    file.seek(tag_end)
    following = file.read(TAG_HEAD_BYTES) if tag_end < end else b""
    is_frame = int.from_bytes(following[:2], "big") & _SYNC == _SYNC
    return tag_end == end or is_frame or tag_bytes(following) > 0
