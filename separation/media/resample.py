"""Streaming conversion of sample rates, exact in length and position."""

from __future__ import annotations

import numpy as np
import soxr
from numpy.typing import NDArray


class Resampler:
    """Converts blocks from one sample rate to another.

    In all, N frames at `rate_in` become round(N · rate_out / rate_in) frames. soxr's filter has linear phase
    and its delay is compensated: an impulse keeps its position.
    """

    def __init__(self, rate_in: int, rate_out: int, channels: int = 2) -> None:
        self._rates = (rate_in, rate_out)
        self._channels = channels
        self._in = 0
        self._out = 0
        self._stream = (
            None
            if rate_in == rate_out
            else soxr.ResampleStream(rate_in, rate_out, channels, dtype="float32", quality="VHQ")
        )

    @property
    def received(self) -> int:
        """Return the frames that were fed; not counted where the rates are the same."""
        return self._in

    def feed(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """Convert (frames, channels); return the frames that are ready, possibly none."""
        if self._stream is None:
            return block
        self._in += len(block)
        ready: NDArray[np.float32] = self._stream.resample_chunk(np.ascontiguousarray(block))
        self._out += len(ready)
        return ready

    def finish(self, frames: int | None = None) -> NDArray[np.float32]:
        """Return the remaining frames, so that the total length is exact; call it last.

        Args:
            frames: In all, where they are not to be rounded; up to one frame of the input more than it has.
        """
        rate_in, rate_out = self._rates
        following = 0 if frames is None else rate_in // rate_out + 2  # silence, for what is rounded up
        silence = np.zeros((following, self._channels), dtype=np.float32)
        if self._stream is None:
            return silence[:0]
        tail: NDArray[np.float32] = self._stream.resample_chunk(silence, last=True)
        if frames is None:
            frames = (2 * self._in * rate_out + rate_in) // (2 * rate_in)
        missing = frames - self._out
        if missing <= len(tail):
            return tail[: max(missing, 0)]
        return np.concatenate([tail, np.zeros((missing - len(tail), self._channels), dtype=np.float32)])
