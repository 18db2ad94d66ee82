"""Peaks and clipping of streams."""

from __future__ import annotations

import numpy as np
import pytest

from stemline.separation.measure import FLOOR_DB, PeakMeter, decibels


def test_peaks_beyond_full_scale_are_counted() -> None:
    """The peak is the largest magnitude, and each sample of each channel beyond full scale counts once."""
    meter = PeakMeter()
    for block in ([[0.5, -1.0], [1.0, 0.0]], [[-2.0, 1.5]], [[0.0, -1.25]]):
        meter.feed(np.array(block, np.float32))
    assert (meter.peak, meter.beyond) == (2.0, 3)
    assert decibels(2.0) == pytest.approx(6.02, abs=0.01)
    assert decibels(0.0) == FLOOR_DB
