"""How PCM samples are stored, where a description says it otherwise than FFmpeg takes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

#: Bytes of an integer sample and of a floating-point one.
INTEGER_BYTES = (1, 2, 3, 4, 8)
FLOAT_BYTES = (4, 8)
#: What numbers between 2^-24 and 2^26 have as the exponent of a 32-bit float, without its sign.
_EXPONENTS = range(127 - 24, 127 + 26)
#: The same of most samples whose full scale is 1, quiet ones included.
_UNIT_EXPONENTS = range(127 - 40, 127 + 4)
#: Integers of 32 bits look like these where nearly all are about half of full scale, as in a square wave;
#: these have few exponents, and sound that crosses zero has many.
_MAX_SAMPLES, _MIN_EXPONENTS, _MIN_WORDS = 0.95, 6, 64


@dataclass(frozen=True, slots=True)
class StoredSamples:
    """What differs from FFmpeg's reading of one stream.

    Attributes:
        corrections: What FFmpeg is shown of the description instead, by position in the file.
        scale: Factor of the samples that it then decodes.
        unreadable: Why they cannot be read; empty where they can.
    """

    corrections: Mapping[int, bytes] = field(default_factory=dict)
    scale: float = 1.0
    unreadable: str = ""


@dataclass(frozen=True, slots=True)
class StreamsSamples:
    """The same of all streams of a file; scales and reasons by the number of the stream."""

    corrections: Mapping[int, bytes] = field(default_factory=dict)
    scales: Mapping[int, float] = field(default_factory=dict)
    unreadable: Mapping[int, str] = field(default_factory=dict)


def of_streams(found: Iterable[tuple[int, StoredSamples]]) -> StreamsSamples:
    """Put together what was found of streams, each with its number."""
    streams = list(found)
    return StreamsSamples(
        corrections={at: content for _, one in streams for at, content in one.corrections.items()},
        scales={number: one.scale for number, one in streams if one.scale != 1.0},
        unreadable={number: one.unreadable for number, one in streams if one.unreadable},
    )


def corrected(found: StreamsSamples, corrections: Mapping[int, bytes]) -> StreamsSamples:
    """Return what was found of streams with further corrections of their file."""
    return replace(found, corrections={**found.corrections, **corrections})


def cannot_read(bits: int, width: int, *, is_float: bool) -> StoredSamples:
    """Return the refusal of samples of `bits` valid bits in `width` bytes."""
    kind = "floating-point" if is_float else "integer"
    return StoredSamples(
        unreadable=f"The samples of the source ({kind}, {bits} bits in {8 * width}) cannot be read."
    )


def are_floats(words: bytes) -> bool:
    """Return whether 32-bit little-endian words, not all of them zero, are floats of the size of samples."""
    exponents = _exponents(words)
    return exponents.size > 0 and bool(
        ((exponents >= _EXPONENTS.start) & (exponents < _EXPONENTS.stop)).all()
    )


def are_unit_floats(words: bytes) -> bool:
    """Return whether 32-bit little-endian words are floats of sound whose full scale is 1."""
    exponents = _exponents(words)
    if exponents.size < _MIN_WORDS:
        return False
    fits = (exponents >= _UNIT_EXPONENTS.start) & (exponents < _UNIT_EXPONENTS.stop)
    return bool(fits.mean() >= _MAX_SAMPLES) and np.unique(exponents[fits]).size >= _MIN_EXPONENTS


def _exponents(words: bytes) -> NDArray[np.uint32]:
    """Return what would be the exponents of floats, but for those that are 0."""
    numbers = np.frombuffer(words[: len(words) // 4 * 4], "<u4")
    exponents: NDArray[np.uint32] = numbers[(numbers & 0x7FFFFFFF) != 0] >> 23 & 0xFF
    return exponents
