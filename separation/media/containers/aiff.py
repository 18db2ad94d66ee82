"""AIFF and AIFF-C."""

from __future__ import annotations

from typing import BinaryIO

from stemline.separation.media.containers.stored_samples import StreamsSamples
from stemline.separation.media.containers.structure import METADATA_MAX_BYTES, PART_BYTES, Structure

_FORM = b"FORM"
_SOUND = b"SSND"
#: A name of chunks that FFmpeg passes over.
_FILLER = b"FLLR"


def matches(head: bytes) -> bool:
    """Return whether the file is an aiff."""
    return head[:4] == _FORM and head[8:12] in (b"AIFF", b"AIFC")


def read(file: BinaryIO, size: int) -> Structure:
    """Add up the chunks that are no sound. The format has one that is; of several FFmpeg reads the last."""
    total = 0
    sound: list[int] = []
    next_file: int | None = None
    file.seek(12)
    while total <= METADATA_MAX_BYTES and len(header := file.read(8)) == 8:
        if header[:4] == _FORM:
            next_file = file.tell() - len(header)
            break
        if header[:4] == _SOUND:
            sound.append(file.tell() - len(header))
        length = int.from_bytes(header[4:], "big")
        total += PART_BYTES + (0 if header[:4] == _SOUND else min(length, size - file.tell()))
        file.seek(length + length % 2, 1)
    samples = StreamsSamples(dict.fromkeys(sound[1:], _FILLER))
    return Structure(size, metadata_bytes=total, next_file=next_file, samples=samples)
