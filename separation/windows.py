"""Splits a stream of samples into the windows that the networks see.

Spleeter puts one frame of zeros before the signal, transforms it, and splits the frames into segments of 512
that are independent of each other (`context` 0). With context, windows are twice as long and overlap: only
the middle of each is kept, and the network also sees `context` frames on both sides of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stemline.separation.errors import EmptyAudio, NonFiniteAudio, OptionError
from stemline.separation.network import CHANNELS, FRAME, HOP, SEGMENT_FRAMES
from stemline.separation.stft import Samples, span

#: Frames of a window that has context.
CONTEXT_WINDOW_FRAMES = 2 * SEGMENT_FRAMES

Block = NDArray[np.float32]  # (samples, channels)


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """What one run of the networks sees, and which part of the result is used.

    Windows hold the blocks of the stream itself: whatever else holds them, each sample is there once.

    Attributes:
        frames: How many it has.
        blocks: What it has of the stream, (samples, 2) each.
        before: Zeros before them, samples; zeros follow as well where the stream has ended.
        keep: The frames of the window whose result is used.
        skip: Samples to drop of those that become final with this window, which are 1,024 per kept frame.
        length: Samples to deliver after those.
        only: Whether the stream has no other window.
    """

    frames: int
    blocks: tuple[Block, ...]
    before: int
    keep: slice
    skip: int
    length: int
    only: bool

    def samples(self, start: int = 0, stop: int | None = None, *, order: Literal["C", "F"] = "C") -> Samples:
        """Return a copy of samples `start` to `stop`, by default all span(frames) of them: (2, count).

        Those of a channel lie beside each other in memory or, with the order F, the two of a moment.
        """
        stop = span(self.frames) if stop is None else stop
        found = np.empty((CHANNELS, stop - start), np.float32, order=order)
        place = self.before - start  # of the next block
        found[:, : max(place, 0)] = 0
        for block in self.blocks:
            begin, end = max(place, 0), min(place + len(block), stop - start)
            if begin < end:
                found[:, begin:end] = block[begin - place : end - place].T
            place += len(block)
        found[:, max(place, 0) :] = 0
        return found


def split(blocks: Iterable[Block], *, context: int = 0) -> Iterator[Window]:
    """Yield the windows of a stream of (samples, 2) blocks.

    Raises:
        EmptyAudio: The stream holds no samples.
        NonFiniteAudio: A sample is infinite or not a number.
        OptionError: With this `context` nothing of a window would be kept.
    """
    splitter = _Splitter(context)
    for block in blocks:
        yield from splitter.push(block)
    yield from splitter.finish()


class _Splitter:
    """Keeps the blocks of the next window."""

    def __init__(self, context: int) -> None:
        frames = SEGMENT_FRAMES if context == 0 else CONTEXT_WINDOW_FRAMES
        if not 0 <= 2 * context < frames:
            raise OptionError(f"The context must be from 0 to {frames // 2 - 1} frames, not {context}.")
        self._frames = frames
        self._context = context
        self._blocks: list[Block] = []
        self._before = FRAME  # zeros before the blocks
        self._filled = FRAME  # samples of the window that are there
        self._first = 0  # the first frame of the window that no earlier one kept
        self._received = 0
        self._delivered = 0

    def push(self, block: Block) -> Iterator[Window]:
        """Append a block; yield the windows that it completes."""
        if not np.isfinite(block).all():
            raise NonFiniteAudio
        self._received += len(block)
        while len(block):
            if self._filled == span(self._frames):
                yield self._next()
            count = min(len(block), span(self._frames) - self._filled)
            self._blocks.append(block[:count])
            self._filled += count
            block = block[count:]

    def finish(self) -> Iterator[Window]:
        """Yield the remaining windows after the last block."""
        if self._received == 0:
            raise EmptyAudio
        while (present := -(-self._filled // HOP)) > self._frames:
            yield self._next()
        if self._received > self._delivered:
            yield self._window(slice(self._first, present), self._received - self._delivered)

    def _next(self) -> Window:
        """Return the window that is complete, and keep what the next one has of it."""
        stop = self._frames - self._context
        skip = 0 if self._delivered else FRAME
        window = self._window(slice(self._first, stop), (stop - self._first) * HOP - skip)
        done = (stop - self._context) * HOP
        self._filled -= done
        done -= self._before
        self._before = max(0, -done)
        while self._blocks and done >= len(self._blocks[0]):
            done -= len(self._blocks.pop(0))
        if done > 0:
            self._blocks[0] = self._blocks[0][done:]
        self._first = self._context
        return window

    def _window(self, keep: slice, length: int) -> Window:
        skip = 0 if self._delivered else FRAME
        only = not self._delivered and length == self._received
        self._delivered += length
        return Window(self._frames, tuple(self._blocks), self._before, keep, skip, length, only)
