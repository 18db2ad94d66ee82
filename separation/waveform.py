"""The waveform of a stream of any length: about a thousand pairs of the smallest and the largest sample."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

PAIRS: Final = 1024
"""Most pairs of a waveform; a stream longer than this many samples has more than half as many."""


@dataclass(frozen=True, slots=True)
class Waveform:
    """A drawn stream.

    Attributes:
        samples_per_pair: How many samples each pair covers, a power of two; the last pair may cover fewer.
        data: Base64 of one signed byte for each smallest and largest sample in turn, 127 being full scale.
    """

    samples_per_pair: int
    data: str


class WaveformMeter:
    """Draws a stream in constant memory: when all pairs are used, two and two are merged."""

    def __init__(self) -> None:
        self._samples_per_pair = 1
        self._samples = 0
        self._low = np.full(PAIRS, np.inf, np.float32)
        self._high = np.full(PAIRS, -np.inf, np.float32)

    def feed(self, samples: NDArray[np.float32]) -> None:
        """Take (frames, channels); the pairs are over all channels."""
        if not len(samples):
            return
        while self._samples + len(samples) > PAIRS * self._samples_per_pair:
            self._halve()
        first = self._samples // self._samples_per_pair
        used = slice(first, (self._samples + len(samples) - 1) // self._samples_per_pair + 1)
        starts = np.maximum(np.arange(used.start, used.stop) * self._samples_per_pair - self._samples, 0)
        # One row of numbers: a reduction over two channels at a time is some ten times slower.
        flat, starts = np.ravel(samples), starts * samples.shape[1]
        self._low[used] = np.minimum(self._low[used], np.minimum.reduceat(flat, starts))
        self._high[used] = np.maximum(self._high[used], np.maximum.reduceat(flat, starts))
        self._samples += len(samples)

    def finish(self) -> Waveform:
        """Return the waveform of what was fed."""
        count = -(-self._samples // self._samples_per_pair)
        pairs = np.stack([self._low[:count], self._high[:count]], axis=1)
        data = np.rint(np.clip(pairs, -1.0, 1.0) * 127).astype(np.int8).tobytes()
        return Waveform(self._samples_per_pair, base64.b64encode(data).decode())

    def _halve(self) -> None:
        half = PAIRS // 2
        self._low[:half] = np.minimum(self._low[::2], self._low[1::2])
        self._high[:half] = np.maximum(self._high[::2], self._high[1::2])
        self._low[half:], self._high[half:] = np.inf, -np.inf
        self._samples_per_pair *= 2
