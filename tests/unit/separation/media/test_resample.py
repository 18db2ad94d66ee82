"""The change of rate."""

from __future__ import annotations

import numpy as np
import pytest

from stemline.separation.media.resample import Resampler

RATES = [8000, 11_025, 16_000, 22_050, 32_000, 48_000, 88_200, 96_000, 192_000]


def run(samples: np.ndarray, rate_in: int, rate_out: int, step: int) -> np.ndarray:
    resampler = Resampler(rate_in, rate_out)
    blocks = [resampler.feed(samples[at : at + step]) for at in range(0, len(samples), step)]
    return np.concatenate([*blocks, resampler.finish()])


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("frames", [1, 7, 1000, 44_101])
def test_length_is_exact(rate: int, frames: int):
    """N frames become round(N times the ratio) frames, to 44.1 kHz and back."""
    samples = np.zeros((frames, 2), dtype=np.float32)

    assert int(frames * 44_100 / rate + 0.5) == len(run(samples, rate, 44_100, 500))
    assert int(frames * rate / 44_100 + 0.5) == len(run(samples, 44_100, rate, 500))


@pytest.mark.parametrize("rate", RATES)
def test_impulse_stays_in_its_place(rate: int):
    """An impulse comes out at its own time, to the nearest sample."""
    samples = np.zeros((rate, 2), dtype=np.float32)
    samples[rate // 2] = 1.0

    out = run(samples, rate, 44_100, 1000)

    assert round(rate // 2 / rate * 44_100) == np.abs(out[:, 0]).argmax()


def test_blocks_do_not_show():
    """The result does not depend on the sizes of the blocks."""
    samples = np.random.default_rng(0).standard_normal((48_000, 2)).astype(np.float32)

    whole = run(samples, 48_000, 44_100, 48_000)

    assert np.abs(whole - run(samples, 48_000, 44_100, 777)).max() < 1e-6


def test_what_is_audible_passes_and_nothing_folds_back():
    """From 96 kHz, 18 kHz passes at full level and 30 kHz leaves less than -100 dB."""
    time = np.arange(96_000) / 96_000
    low = np.repeat(np.sin(2 * np.pi * 18_000 * time)[:, None], 2, axis=1).astype(np.float32)
    high = np.repeat(np.sin(2 * np.pi * 30_000 * time)[:, None], 2, axis=1).astype(np.float32)

    kept = run(low, 96_000, 44_100, 4096)[4000:-4000]
    gone = run(high, 96_000, 44_100, 4096)[4000:-4000]

    assert np.sqrt(0.5) == pytest.approx(np.sqrt((kept**2).mean()), rel=1e-3)
    assert np.abs(gone).max() < 1e-5
