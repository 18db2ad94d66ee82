"""The multichannel Wiener filter."""

from __future__ import annotations

import numpy as np
import pytest

from stemline.separation import wiener
from stemline.separation.extension import Extension
from stemline.separation.network import FRAME_BINS, NETWORK_BINS

FRAMES = 100


def spectrum(seed: int, left: float = 1.0, right: float = 1.0) -> np.ndarray:
    """Return noise from one place, (2, frames, bins)."""
    rng = np.random.default_rng(seed)
    parts = rng.standard_normal((2, FRAMES, FRAME_BINS)) * rng.uniform(0, 2, (1, FRAMES, FRAME_BINS))
    mono = (parts[0] + 1j * parts[1]).astype(np.complex64)
    return np.stack([left * mono, right * mono])


def masks(seed: int = 1) -> list[np.ndarray]:
    """Return the shares of two instruments, which say nothing of where they are."""
    share = np.random.default_rng(seed).uniform(0, 1, (2, FRAMES, NETWORK_BINS)).astype(np.float32)
    return [share, 1 - share]


def distance_db(estimate: np.ndarray, truth: np.ndarray) -> float:
    ratio = np.square(np.abs(estimate - truth)).sum() / np.square(np.abs(truth)).sum()
    return float(10 * np.log10(ratio))


def test_sounds_from_one_place_are_left_to_the_masks():
    """Where both channels are equal, each instrument gets its mask of the mix."""
    mix = spectrum(0)
    share = masks()[0]
    share[1] = share[0]

    refined = wiener.refine(mix, [share, 1 - share], [0], Extension.AVERAGE)[0]

    assert np.abs(refined[..., :NETWORK_BINS] - share * mix[..., :NETWORK_BINS]).max() < 1e-3
    above = share.mean(axis=-1, keepdims=True) * mix[..., NETWORK_BINS:]
    assert np.abs(refined[..., NETWORK_BINS:] - above).max() < 1e-3


def test_sounds_from_two_places_are_told_apart():
    """Two instruments on either side are found better than by masks that only roughly know them."""
    voice, band = spectrum(0, 1.0, 0.2), spectrum(1, 0.2, 1.0)
    mix = voice + band
    power = [np.square(np.abs(part)).mean(axis=0)[:, :NETWORK_BINS] for part in (voice, band)]
    ideal = power[0] / (power[0] + power[1])
    share = np.repeat((0.5 + 0.6 * (ideal - 0.5))[None], 2, axis=0).astype(np.float32)

    refined = wiener.refine(mix, [share, 1 - share], [0, 1], Extension.AVERAGE)

    for estimate, truth, mask in zip(refined, (voice, band), (share, 1 - share), strict=True):
        masked = mask * mix[..., :NETWORK_BINS]
        low = (estimate[..., :NETWORK_BINS], truth[..., :NETWORK_BINS])
        assert distance_db(*low) < distance_db(masked, low[1]) - 2


@pytest.mark.parametrize("extension", Extension)
def test_instruments_add_up_to_the_mix(extension: Extension):
    """What the instruments have together is the mix, but for the bins that are silenced."""
    mix = spectrum(0, 1.0, 0.3) + spectrum(1, 0.1, 1.0)

    total = np.sum(wiener.refine(mix, masks(), [0, 1], extension), axis=0)

    if extension is Extension.ZEROS:
        assert not total[..., NETWORK_BINS:].any()
        mix[..., NETWORK_BINS:] = 0
    assert np.abs(total - mix).max() < 1e-3


@pytest.mark.parametrize("scale", [0.0, 1e-12, 1e6])
def test_any_level_is_filtered(scale: float):
    """Silence stays silence, and very quiet and loud mixes have finite stems in proportion."""
    mix = spectrum(0, 1.0, 0.3) + spectrum(1, 0.1, 1.0)
    usual = wiener.refine(mix, masks(), [0], Extension.AVERAGE)[0]

    scaled = wiener.refine((mix * scale).astype(np.complex64), masks(), [0], Extension.AVERAGE)[0]

    assert np.abs(scaled - usual * scale).max() <= 1e-3 * scale * np.abs(usual).max()
