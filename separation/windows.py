"""Cutting a stream of samples into the windows that the networks see.

Spleeter puts one frame of zeros before the signal, transforms it, and cuts the frames into segments of 512
that know nothing of each other (`context` 0). With context, windows are twice as long and overlap: of each
only the middle is kept, and `context` frames on both sides are there to be seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stemline.separation.errors import EmptyAudio, NonFiniteAudio, OptionError
from stemline.separation.network import CHANNELS, FRAME, HOP, SEGMENT_FRAMES
from stemline.separation.stft import Samples, span

#: Frames of a window that has context.
CONTEXT_WINDOW_FRAMES = 2 * SEGMENT_FRAMES

Block = NDArray[np.float32]  # (samples, channels)


@dataclass(frozen=True, slots=True)
class Window:
    """What one run of the networks sees, and which part of it counts.

    samples: (2, span(frames)), zeros after the end of the stream.
    keep: the frames of the window whose result is used.
    skip, length: of the samples that become final with this window, 1,024 per kept frame, those to deliver.
    only: this window is all there is.
    """

    samples: Samples
    keep: slice
    skip: int
    length: int
    only: bool


def split(blocks: Iterable[Block], *, context: int = 0) -> Iterator[Window]:
    """Cut a stream of (samples, 2) blocks into windows.

    Raises:
        EmptyAudio: The stream holds no samples.
        NonFiniteAudio: A sample is infinite or not a number.
        OptionError: `context` leaves nothing of a window to keep.
    """
    splitter = _Splitter(context)
    for block in blocks:
        yield from splitter.push(block)
    yield from splitter.finish()


class _Splitter:
    """Holds the samples that the next window will start with."""

    def __init__(self, context: int) -> None:
        frames = SEGMENT_FRAMES if context == 0 else CONTEXT_WINDOW_FRAMES
        if not 0 <= 2 * context < frames:
            raise OptionError(f"The context must be from 0 to {frames // 2 - 1} frames, not {context}.")
        self._frames = frames
        self._context = context
        self._buffer = np.zeros((CHANNELS, span(frames)), np.float32)
        self._filled = FRAME  # samples of the buffer in use; first come the zeros before the signal
        self._first = 0  # the buffer's first frame that no earlier window kept
        self._received = 0
        self._delivered = 0

    def push(self, block: Block) -> Iterator[Window]:
        """Take a block in; yield the windows that it completes."""
        self._received += len(block)
        while len(block):
            if self._filled == self._buffer.shape[1]:
                yield self._next()
            count = min(len(block), self._buffer.shape[1] - self._filled)
            self._buffer[:, self._filled : self._filled + count] = block[:count].T
            self._filled += count
            block = block[count:]

    def finish(self) -> Iterator[Window]:
        """Yield the windows that are left after the last block."""
        if self._received == 0:
            raise EmptyAudio
        while (present := -(-self._filled // HOP)) > self._frames:
            yield self._next()
        if self._received > self._delivered:
            yield self._window(slice(self._first, present), self._received - self._delivered)

    def _next(self) -> Window:
        """Return the window in the full buffer and start the buffer of its successor."""
        stop = self._frames - self._context
        skip = 0 if self._delivered else FRAME
        window = self._window(slice(self._first, stop), (stop - self._first) * HOP - skip)
        done = (stop - self._context) * HOP
        buffer = np.zeros_like(self._buffer)
        buffer[:, : self._filled - done] = self._buffer[:, done : self._filled]
        self._buffer, self._filled, self._first = buffer, self._filled - done, self._context
        return window

    def _window(self, keep: slice, length: int) -> Window:
        if not np.isfinite(self._buffer).all():
            raise NonFiniteAudio
        skip = 0 if self._delivered else FRAME
        only = not self._delivered and length == self._received
        self._delivered += length
        return Window(self._buffer, keep, skip, length, only)
