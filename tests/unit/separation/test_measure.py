"""Peaks, clipping and loudness of streams."""

from __future__ import annotations

import numpy as np
import pytest

from stemline.separation.measure import FLOOR_DB, LoudnessMeter, PeakMeter, decibels
from stemline.testing import stems


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("kind", stems.KINDS)
def test_loudness_agrees_with_pyloudnorm(kind: str, channels: int) -> None:
    """The loudness of every kind of stem, fed in blocks of any size, is pyloudnorm's within 0.1 LU."""
    import pyloudnorm  # type: ignore[import-untyped]  # it takes long to import

    samples = stems.KINDS[kind](6.0)[:, :channels]
    meter = LoudnessMeter(stems.RATE, channels)
    for block in np.array_split(samples, 7):
        meter.feed(block)
    expected = pyloudnorm.Meter(stems.RATE).integrated_loudness(samples)
    assert meter.finish() == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize("samples", [np.zeros((44_100, 2)), stems.sine(0.2), np.zeros((0, 2))])
def test_no_loudness_below_the_gate(samples: np.ndarray) -> None:
    """Silence, and less than one block of 400 ms, have no loudness."""
    meter = LoudnessMeter(stems.RATE, 2)
    meter.feed(samples.astype(np.float32))
    assert meter.finish() is None


def test_peaks_beyond_full_scale_are_counted() -> None:
    """The peak is the largest magnitude, and each sample of each channel beyond full scale counts once."""
    meter = PeakMeter()
    for block in ([[0.5, -1.0], [1.0, 0.0]], [[-2.0, 1.5]], [[0.0, -1.25]]):
        meter.feed(np.array(block, np.float32))
    assert (meter.peak, meter.beyond) == (2.0, 3)
    assert decibels(2.0) == pytest.approx(6.02, abs=0.01)
    assert decibels(0.0) == FLOOR_DB
