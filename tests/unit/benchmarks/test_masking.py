"""The model of masking by which codecs are compared."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.masking import noise_to_mask_db

RATE = 44_100
SECONDS = 2


def tone(hertz: float, level_db: float = 0.0) -> NDArray[np.float64]:
    wave = np.sin(2 * np.pi * hertz * np.arange(SECONDS * RATE) / RATE)
    return np.asarray(wave * 10 ** (level_db / 20))


def noise(level_db: float, seed: int = 0) -> NDArray[np.float64]:
    values = np.random.default_rng(seed).standard_normal(SECONDS * RATE)
    return np.asarray(values * 10 ** (level_db / 20))


@pytest.mark.parametrize("by_db", [-20.0, 6.0])
def test_louder_noise_lies_as_much_higher(by_db: float) -> None:
    change = noise_to_mask_db(noise(-10), noise(-60 + by_db, 1), RATE) - noise_to_mask_db(
        noise(-10), noise(-60, 1), RATE
    )

    assert change == pytest.approx(by_db, abs=0.01)


def test_noise_beside_a_tone_is_heard_less_than_noise_far_from_it() -> None:
    beside = noise_to_mask_db(tone(1000), tone(1060, -40), RATE)
    far = noise_to_mask_db(tone(1000), tone(4000, -40), RATE)

    assert far > beside + 15


def test_low_tones_mask_higher_ones_more_than_the_reverse() -> None:
    above = noise_to_mask_db(tone(1000), tone(1600, -40), RATE)
    below = noise_to_mask_db(tone(1600), tone(1000, -40), RATE)

    assert below > above + 10


def test_noise_masks_more_than_tones_of_the_same_power_do() -> None:
    tones = sum((tone(hertz) for hertz in range(200, 20_000, 400)), np.zeros(SECONDS * RATE))
    tones /= np.sqrt(np.square(tones).mean())

    assert noise_to_mask_db(tones, noise(-30), RATE) > noise_to_mask_db(noise(0, 1), noise(-30), RATE) + 5


def test_noise_below_the_threshold_in_quiet_is_not_heard() -> None:
    quiet = tone(1000, -60)

    assert noise_to_mask_db(quiet, tone(3000, -110), RATE) < 0
    assert noise_to_mask_db(quiet, tone(3000, -70), RATE) > 0
