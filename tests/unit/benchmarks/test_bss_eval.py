"""The measures of quality, on estimates of which is known what they must be."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.bss_eval import BssEval, Ratios

SAMPLES, TAPS = 6000, 16
Signal = NDArray[np.float64]


@pytest.fixture(scope="module")
def parts() -> Signal:
    """Two parts of noise, equally loud, (2, samples, 2); silent where filters reach beyond their ends."""
    noise = np.random.default_rng(0).standard_normal((2, SAMPLES, 2))
    noise[:, :TAPS] = noise[:, -TAPS:] = 0.0
    return noise


def scores(parts: Signal, estimate: Signal) -> Ratios:
    return BssEval(parts, TAPS).ratios(estimate, 0)


def filtered(part: Signal, taps: int = TAPS) -> Signal:
    """Return a part through one filter for both channels."""
    response = np.random.default_rng(1).standard_normal(taps)
    return np.stack([np.convolve(channel, response)[: len(part)] for channel in part.T], axis=1)


def test_the_part_itself_has_no_error(parts: Signal):
    """The part itself has ratios beyond what numbers can hold."""
    found = scores(parts, parts[0])

    assert min(found.sdr, found.isr, found.sir, found.sar) > 100


def test_a_filter_is_spatial_distortion_alone(parts: Signal):
    """A filter of as many taps is neither interference nor artefact, however far it changes the part."""
    found = scores(parts, filtered(parts[0]))

    assert max(found.sdr, found.isr) < 3
    assert min(found.sir, found.sar) > 90


def test_a_longer_filter_leaves_artefacts(parts: Signal):
    """What a filter does beyond the taps is an artefact."""
    assert scores(parts, filtered(parts[0], 4 * TAPS)).sar < 5


def test_another_part_is_interference_also_when_it_is_late(parts: Signal):
    """The other part at -20 dB, a few samples late, is interference of 20 dB and no artefact."""
    late = np.roll(parts[1], TAPS // 2, axis=0)

    found = scores(parts, parts[0] + 0.1 * late)

    assert pytest.approx(20.0, abs=0.3) == found.sir
    assert pytest.approx(20.0, abs=0.3) == found.sdr
    assert found.sar > 90


def test_foreign_noise_is_an_artefact(parts: Signal):
    """Noise that no filter makes of the parts is an artefact, nearly all of it."""
    noise = np.random.default_rng(2).standard_normal(parts[0].shape)

    found = scores(parts, parts[0] + 0.1 * noise)

    assert pytest.approx(20.0, abs=0.3) == found.sar
    assert found.sir > 35


def test_it_is_least_squares_over_delayed_parts(parts: Signal):
    """The ratios are those of the nearest sums of delayed channels, solved without any transform."""
    short = parts[:, :500]
    estimate = short[0] + 0.3 * np.tanh(short[1]) + 0.2 * np.roll(short[0][:, ::-1], 3, axis=0)
    delayed = [
        np.pad(channel, (delay, TAPS - 1 - delay))
        for channel in np.concatenate([*short], axis=1).T
        for delay in range(TAPS)
    ]
    padded = np.pad(estimate, ((0, TAPS - 1), (0, 0)))
    own, every = (
        (basis := np.array(delayed[:count]).T) @ np.linalg.lstsq(basis, padded)[0]
        for count in (2 * TAPS, 4 * TAPS)
    )

    found = BssEval(short, TAPS).ratios(estimate, 0)

    assert pytest.approx(ratio_db(own, every - own)) == found.sir
    assert pytest.approx(ratio_db(every, padded - every)) == found.sar
    assert pytest.approx(ratio_db(short[0], own - np.pad(short[0], ((0, TAPS - 1), (0, 0))))) == found.isr
    assert pytest.approx(ratio_db(short[0], estimate - short[0])) == found.sdr


def test_windows_share_the_filters_of_the_whole(parts: Signal):
    """In windows the filters stay those of the whole signal: a gain that changes half-way is an artefact."""
    estimate = filtered(parts[0])
    estimate[SAMPLES // 2 :] *= 0.5

    found = list(BssEval(parts, TAPS).windows(estimate, 0, SAMPLES // 2))

    assert 2 == len(found)
    assert max(each.sar for each in found) < 12


def test_one_window_is_the_whole(parts: Signal):
    """A window as long as the signals has the ratios of the whole, which are computed otherwise."""
    noise = np.random.default_rng(2).standard_normal(parts[0].shape)
    estimate = filtered(parts[0]) + 0.1 * parts[1] + 0.05 * noise
    compared = BssEval(parts, TAPS)

    [found] = compared.windows(estimate, 0, SAMPLES)

    assert pytest.approx(asdict(compared.ratios(estimate, 0)), abs=1e-4) == asdict(found)


def test_equal_channels_are_no_obstacle(parts: Signal):
    """A mix whose parts stand in the middle, where no filter is determined, is measured as in mono."""
    middle = parts[:, :, :1].repeat(2, axis=2)

    found = scores(middle, middle[0] + 0.1 * middle[1])

    assert pytest.approx(20.0, abs=0.3) == found.sir
    assert found.sar > 55


def ratio_db(one: Signal, other: Signal) -> float:
    return float(10 * np.log10(np.square(one).sum() / np.square(other).sum()))
