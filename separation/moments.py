"""The mean and the deviation of a stream, sample by sample of its channels' mean."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

#: Added to the deviation, so that silence is not divided by zero; Demucs' own.
_EPSILON: Final = 1e-8


@dataclass(frozen=True, slots=True)
class Moments:
    """Of the first `count` samples: their mean, and the sum of the squared differences from it."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    @property
    def deviation(self) -> float:
        """Return the standard deviation (of a sample, n - 1), never zero."""
        return math.sqrt(self.squares / max(1, self.count - 1)) + _EPSILON

    def after(self, samples: NDArray[np.float32], base: int, end: int) -> Moments:
        """Return the moments of the stream up to `end`.

        Args:
            samples: (channels, n), of which the first is number `base` of the stream, at most `count`.
            base: See `samples`.
            end: Samples of the stream that count from now on.
        """
        fresh = samples[:, self.count - base : end - base].mean(axis=0, dtype=np.float64)
        if not len(fresh):
            return self
        # Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances".
        count = self.count + len(fresh)
        mean = float(fresh.mean())
        step = mean - self.mean
        squares = float(np.square(fresh - mean).sum()) + step * step * self.count * len(fresh) / count
        return Moments(count, self.mean + step * len(fresh) / count, self.squares + squares)
