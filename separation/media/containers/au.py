"""Sun's and NeXT's au."""

from __future__ import annotations

from typing import BinaryIO

from stemline.separation.media.containers.stored_samples import StreamsSamples
from stemline.separation.media.containers.structure import Structure, without_excess

#: What a writer that cannot seek back puts in the place of the length.
_UNKNOWN = 0xFFFFFFFF
_LENGTH_AT = 8


def matches(head: bytes) -> bool:
    """Return whether the file is an au."""
    return head[:4] == b".snd"


def read(file: BinaryIO, size: int) -> Structure:
    """Return the length of the header, which ends with an annotation of any length, and that of the data."""
    file.seek(4)
    start, length = (int.from_bytes(file.read(4), "big") for _ in range(2))
    end = None if length in {0, _UNKNOWN} else without_excess(start + length, size)
    shown = {} if length else {_LENGTH_AT: _UNKNOWN.to_bytes(4, "big")}
    return Structure(
        size, end=end, metadata_bytes=min(start, size), reads_on=True, samples=StreamsSamples(shown)
    )
