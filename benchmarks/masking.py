"""How far a coder's noise lies above what the signal masks, by a simple model of hearing.

The model is Johnston's ("Transform coding of audio signals using perceptual noise criteria", 1988): powers
by critical band (Zwicker's Bark scale), spread by Schroeder's function, and lowered by an offset between that
of a tone (14.5 dB plus one for each Bark) and that of noise (5.5 dB), by the spectral flatness of a frame.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FRAME = 2048
HOP = FRAME // 2
#: A full-scale sine is taken to be this loud, dB of sound pressure.
FULL_SCALE_DB = 96.0
#: Frames more than this far below the loudest one are left out, dB.
SILENCE_DB = 60.0
#: The flatness at which a frame counts as a pure tone, dB.
TONE_FLATNESS_DB = -60.0

Array = NDArray[np.float64]


def noise_to_mask_db(signal: Array, noise: Array, rate: int) -> float:
    """Return the mean ratio of noise and masking threshold over all frames and critical bands, dB.

    Below 0 the model expects that nothing is heard.

    Args:
        signal: One channel, full scale is 1.
        noise: What the coder adds, as long as `signal`.
        rate: Hz.
    """
    hertz = np.arange(1, FRAME // 2 + 1) * (rate / FRAME)
    bark = 13 * np.arctan(0.76 * hertz / 1000) + 3.5 * np.arctan((hertz / 7500) ** 2)
    bands = int(bark[-1]) + 1
    members = (bark.astype(int) == np.arange(bands)[:, None]).astype(np.float64)
    powers, noises = _powers(signal), _powers(noise)
    totals = powers.sum(axis=1)
    loud = totals > totals.max() * 10 ** (-SILENCE_DB / 10)
    powers, noises = powers[loud], noises[loud]
    mask = np.maximum(_threshold(powers, members), _quiet(np.asarray(hertz, np.float64), members))
    return float(10 * np.log10((noises @ members.T / mask).mean()))


def _powers(samples: Array) -> Array:
    """Return (frames, bins) without the one of 0 Hz; a full-scale sine's bins add up to 1."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[::HOP]
    window = np.hanning(FRAME)
    spectra = np.fft.rfft(frames * window, axis=1)[:, 1:]
    return np.asarray(np.square(np.abs(spectra)) * 4 / (FRAME * np.square(window).sum()))


def _threshold(powers: Array, members: Array) -> Array:
    """Return what each frame masks in each band, (frames, bands)."""
    distance = np.subtract.outer(np.arange(len(members)), np.arange(len(members))) + 0.474
    spread = 10 ** ((15.81 + 7.5 * distance - 17.5 * np.sqrt(1 + distance**2)) / 10)
    spread /= spread.sum(axis=1, keepdims=True)
    tiny = np.finfo(np.float64).tiny
    flatness_db = 10 * (np.log10(powers + tiny).mean(axis=1) - np.log10(powers.mean(axis=1) + tiny))
    tonality = np.clip(flatness_db / TONE_FLATNESS_DB, 0, 1)[:, None]
    offset_db = tonality * (14.5 + np.arange(len(members))) + (1 - tonality) * 5.5
    return np.asarray(powers @ members.T @ spread.T * 10 ** (-offset_db / 10))


def _quiet(hertz: Array, members: Array) -> Array:
    """Return the threshold in quiet of each band, by Terhardt's formula."""
    khz = hertz / 1000
    level_db = 3.64 * khz**-0.8 - 6.5 * np.exp(-0.6 * (khz - 3.3) ** 2) + 1e-3 * khz**4
    least = np.where(members > 0, level_db, np.inf).min(axis=1)
    return np.asarray(10 ** ((least - FULL_SCALE_DB) / 10))
