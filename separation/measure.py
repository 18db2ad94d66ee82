"""Peak and clipping of a stream of samples, in constant memory for any length."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stemline.separation.errors import OutputError

#: Lowest level that is reported, dBFS: an exact null has no logarithm.
FLOOR_DB: Final = -200.0
Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Levels:
    """The levels of one stem, before its samples are clipped for the file.

    Attributes:
        peak_db: The largest sample, dBFS; above 0 beyond full scale, None for digital silence.
        clipped: Samples, counted in each channel, that the file holds clipped to full scale.
        loudness_lufs: Integrated loudness by BS.1770-4, LUFS; None where everything is below its gate.
    """

    peak_db: float | None = None
    clipped: int = 0
    loudness_lufs: float | None = None


def decibels(ratio: float) -> float:
    """Return an amplitude relative to full scale in dBFS, not below `FLOOR_DB`."""
    return max(20 * math.log10(ratio), FLOOR_DB) if ratio > 0 else FLOOR_DB


class PeakMeter:
    """Finds the largest sample and counts those beyond full scale."""

    def __init__(self) -> None:
        self.peak = 0.0
        self.beyond = 0

    def feed(self, samples: Samples) -> None:
        """Take (frames, channels).

        Raises:
            OutputError: A sample is not a finite number, which has no level.
        """
        if not samples.size:
            return
        highest, lowest = float(samples.max()), float(samples.min())
        if not math.isfinite(highest - lowest):
            raise OutputError("A stem has samples that are not finite numbers.")
        self.peak = max(self.peak, highest, -lowest)
        if highest > 1.0 or lowest < -1.0:
            self.beyond += int(np.count_nonzero(np.abs(samples) > 1.0))
