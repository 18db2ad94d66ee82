"""Cuts a stream into overlapping segments, and joins what a network made of them by weighted addition.

Three ways of the field are known. Centred segments are Demucs' (`demucs.apply`): they begin with the stream,
and one that is not full is padded on both sides, with samples of the stream where it has some. MDX-Net's
begin `lead` samples before the stream, and zeros follow its end. Those of the programs that run RoFormers
begin with the stream, and the last one is moved back so that it ends with it; zeros follow a stream that is
shorter than a segment.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stemline.separation.errors import EmptyAudio, NonFiniteAudio
from stemline.separation.moments import Moments
from stemline.separation.windows import Block

Samples = NDArray[np.float32]  # (channels, samples)
Stems = NDArray[np.float32]  # (stems, channels, samples)


@dataclass(frozen=True, slots=True, eq=False)
class Segmentation:
    """How a stream is cut.

    Attributes:
        step: Samples from one segment to the next.
        weights: Of each sample of a segment; its length is that of a segment.
        lead: Samples by which the first segment begins before the stream.
        is_centred: Whether a segment that is not full is padded on both sides.
        ends_with_stream: Whether the last segment is moved back so that it is full.
    """

    step: int
    weights: NDArray[np.float32]
    lead: int = 0
    is_centred: bool = False
    ends_with_stream: bool = False

    @property
    def length(self) -> int:
        """Return the samples of a segment."""
        return len(self.weights)


def triangle(length: int, overlap: float) -> Segmentation:
    """Return Demucs' segments: centred, under a triangle."""
    half = length // 2
    weights = np.concatenate([np.arange(1, half + 1), np.arange(length - half, 0, -1)]).astype(np.float32)
    return Segmentation(_step(length, overlap), weights / weights.max(), is_centred=True)


def hann(length: int, overlap: float, trim: int) -> Segmentation:
    """Return segments under a Hann window without its zeros, which begin `trim` samples before the stream."""
    weights = np.hanning(length + 2)[1:-1].astype(np.float32)
    return Segmentation(_step(length, overlap), weights, lead=trim)


def hamming(length: int, overlap: float) -> Segmentation:
    """Return segments under a Hamming window, the last of which ends with the stream."""
    return Segmentation(_step(length, overlap), np.hamming(length).astype(np.float32), ends_with_stream=True)


def middle(length: int, trim: int) -> Segmentation:
    """Return MDX-Net's segments, of which `trim` samples on both sides are dropped."""
    weights = np.zeros(length, np.float32)
    weights[trim : length - trim] = 1.0
    return Segmentation(length - 2 * trim, weights, lead=trim)


def _step(length: int, overlap: float) -> int:
    return max(1, int((1 - overlap) * length))


@dataclass(frozen=True, slots=True)
class Segment:
    """What a network sees at a time, and which part of its result counts.

    Attributes:
        samples: (channels, length).
        present: The part of them that is in the stream.
        start: Where in the stream the part that counts begins.
        used: The part of the segment that counts.
        weights: The part of the weights for it.
        final: Samples of the stream that no later segment changes.
        moments: Of the stream as far as this segment.
        only: Whether the stream has no other segment.
    """

    samples: Samples
    present: slice
    start: int
    used: slice
    weights: slice
    final: int
    moments: Moments
    only: bool


def split(blocks: Iterable[Block], cutting: Segmentation) -> Iterator[Segment]:
    """Yield the segments of a stream of (samples, channels) blocks.

    Raises:
        EmptyAudio: The stream holds no samples.
        NonFiniteAudio: A sample is infinite or not a number.
    """
    cutter = _Cutter(cutting)
    for block in blocks:
        yield from cutter.push(block)
    yield from cutter.finish()


class _Cutter:
    """Keeps the samples that the next segment may need."""

    def __init__(self, cutting: Segmentation) -> None:
        self._cutting = cutting
        self._parts: list[Samples] = []
        self._base = 0  # place in the stream of the first sample that is kept
        self._received = 0
        self._place = -cutting.lead  # of the next segment
        self._moments = Moments()

    def push(self, block: Block) -> Iterator[Segment]:
        """Append a block; yield the segments that it fills."""
        if not np.isfinite(block).all():
            raise NonFiniteAudio
        self._parts.append(block.T)
        self._received += len(block)
        while self._received >= self._place + self._cutting.length:
            yield self._segment(self._cutting.length)

    def finish(self) -> Iterator[Segment]:
        """Yield the segments that the end of the stream leaves unfilled."""
        if not self._received:
            raise EmptyAudio
        if self._cutting.ends_with_stream:
            if self._covered() < self._received:
                self._place = max(0, self._received - self._cutting.length)
                yield self._segment(self._received - self._place)
            return
        while self._place + self._cutting.lead < self._received or self._covered() < self._received:
            yield self._segment(self._received - self._place)

    def _covered(self) -> int:
        """Return where in the stream the segments so far have weight up to."""
        if self._place == -self._cutting.lead:
            return 0
        weighted = int(np.flatnonzero(self._cutting.weights)[-1]) + 1
        return self._place - self._cutting.step + weighted

    def _segment(self, present: int) -> Segment:
        """Return the next segment, of which `present` samples are in the stream or before it."""
        cutting, place = self._cutting, self._place
        padding = (cutting.length - present) // 2 if cutting.is_centred else 0
        kept = self._kept()
        first = place - padding
        begin, end = max(first, 0), min(first + cutting.length, self._received)
        samples = np.zeros((len(kept), cutting.length), np.float32)
        inside = slice(begin - first, end - first)
        samples[:, inside] = kept[:, begin - self._base : end - self._base]
        self._moments = self._moments.after(kept, self._base, min(place + cutting.length, self._received))
        start = max(place, 0)
        used = slice(padding + start - place, padding + present)
        weights = slice(used.start - padding, used.stop - padding)
        is_last = cutting.ends_with_stream or place + cutting.step + cutting.lead >= self._received
        only = start == 0 and present < cutting.length and is_last
        self._place += cutting.step
        self._drop(kept)
        # The last segment may be moved back, to the sample after the start of this one.
        final = max(0, min(place + 1 if cutting.ends_with_stream else self._place, self._received))
        return Segment(samples, inside, start, used, weights, final, self._moments, only)

    def _kept(self) -> Samples:
        """Return what is kept as one array."""
        if len(self._parts) > 1:
            self._parts = [np.concatenate(self._parts, axis=1)]
        return self._parts[0]

    def _drop(self, kept: Samples) -> None:
        """Drop what no later segment needs."""
        cutting = self._cutting
        before = cutting.length // 2 + 1 if cutting.is_centred else 0
        if cutting.ends_with_stream:
            before = cutting.step - 1  # see `final` above
        base = min(max(0, self._place - before), self._moments.count)
        self._parts = [kept[:, base - self._base :].copy()]
        self._base = base


class Joiner:
    """Adds the weighted results of segments, and returns what is final.

    Args:
        weights: Of each sample of a segment.
    """

    def __init__(self, weights: NDArray[np.float32]) -> None:
        self._weights = weights
        self._start = 0  # place in the stream of the first sample that is not returned yet
        self._sums: Stems | None = None
        self._total = np.zeros(0, np.float32)

    def add(self, segment: Segment, stems: Stems) -> Stems:
        """Add the result of a segment, (stems, channels, length); return the samples that are final."""
        weights = self._weights[segment.weights]
        begin = segment.start - self._start
        self._grow(stems, begin + len(weights))
        assert self._sums is not None  # noqa: S101  # _grow made them
        self._sums[..., begin : begin + len(weights)] += stems[..., segment.used] * weights
        self._total[begin : begin + len(weights)] += weights
        return self._take(segment.final - self._start)

    def rest(self) -> Stems | None:
        """Return what was not final before the end of the stream; None where there is nothing."""
        return self._take(len(self._total)) if len(self._total) else None

    def _grow(self, like: Stems, length: int) -> None:
        missing = length - len(self._total)
        if missing > 0:
            zeros = np.zeros((*like.shape[:-1], missing), np.float32)
            self._sums = zeros if self._sums is None else np.concatenate([self._sums, zeros], axis=-1)
            self._total = np.concatenate([self._total, np.zeros(missing, np.float32)])

    def _take(self, count: int) -> Stems:
        assert self._sums is not None  # noqa: S101  # only after something was added
        count = max(0, min(count, len(self._total)))
        final = self._sums[..., :count] / self._total[:count]
        self._sums, self._total = self._sums[..., count:], self._total[count:]
        self._start += count
        return final
