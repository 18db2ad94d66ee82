"""WavPack: a chain of blocks, each with its position in the stream."""

from __future__ import annotations

import struct
from typing import BinaryIO

from stemline.separation.media.containers.structure import Structure

_MARK = b"wvpk"
#: Mark, length behind the first 8 bytes, version, upper bytes of position and total, lower ones of total and
#: position, samples, flags.
_HEADER = struct.Struct("<4sIHBBIIII")
_IS_FIRST_OF_CHANNELS = 0x800
_RATE_SHIFT, _RATE_MASK = 23, 15
_RATES = (
    6_000, 8_000, 9_600, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 88_200,
    96_000, 192_000,
)  # fmt: skip


def matches(head: bytes) -> bool:
    """Return whether the file begins with a block."""
    return head[:4] == _MARK


def read(file: BinaryIO, size: int) -> Structure:
    """Follow the blocks to the last one, or to the first one of another file."""
    at = samples = 0
    first: int | None = None  # above 0 where the beginning was cut off
    rate: int | None = None
    while True:
        file.seek(at)
        header = file.read(_HEADER.size)
        if not header.startswith(_MARK):
            break
        if len(header) < _HEADER.size:
            at += _HEADER.size
            break
        _, length, _, high, _, _, position, count, flags = _HEADER.unpack(header)
        position |= high << 32
        if count:
            if samples and not position and flags & _IS_FIRST_OF_CHANNELS:
                return Structure(size, end=at, next_file=at, duration_s=_seconds(samples, rate))
            first = position if first is None else first
            samples = max(samples, position + count - first)
            index = flags >> _RATE_SHIFT & _RATE_MASK
            rate = _RATES[index] if index < len(_RATES) else None
        at += length + 8
    return Structure(size, end=at, duration_s=_seconds(samples, rate))


def _seconds(samples: int, rate: int | None) -> float | None:
    return samples / rate if samples and rate else None
