"""Stems made by code, (frames, 2) float32 at 44,100 Hz, on which encoders are compared and tested."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

RATE: Final = 44_100
"""Hz."""

Samples = NDArray[np.float32]
_Signal = NDArray[np.float64]


def sine(seconds: float) -> Samples:
    """Return 997 Hz at full scale: all energy in a few coefficients, which coarse quantisers clip."""
    return _stereo(np.sin(2 * np.pi * 997 * _times(seconds)), 0.999)


def bass(seconds: float) -> Samples:
    """Return one kick-like bass note a second, which falls from 80 to 50 Hz."""
    since = _times(seconds) % 1.0
    phase = 50 * since + 30 * (1 - np.exp(-20 * since)) / 20
    return _stereo(np.exp(-1.5 * since) * np.sin(2 * np.pi * phase), 0.9)


def chord(seconds: float) -> Samples:
    """Return four sustained notes with eight partials each."""
    return _stereo(_chord(_times(seconds)), 0.8, 30)


def sparse(seconds: float) -> Samples:
    """Return one short note every 1.5 s with silence between."""
    since = _times(seconds) % 1.5
    note = np.sin(2 * np.pi * 440 * since) + 0.5 * np.sin(2 * np.pi * 880 * since)
    return _stereo(np.where(since < 0.7, np.exp(-6 * since) * note, 0.0), 0.5)


def transients(seconds: float) -> Samples:
    """Return four short bursts of noise a second."""
    return _stereo(_bursts(_times(seconds)), 0.8, 40)


def dense(seconds: float) -> Samples:
    """Return a chord, bursts and a floor of noise together."""
    times = _times(seconds)
    noise = np.random.default_rng(2).standard_normal(len(times))
    return _stereo(_peak(_chord(times)) + _peak(_bursts(times)) + 0.05 * noise, 0.8, 11)


KINDS: Final[Mapping[str, Callable[[float], Samples]]] = {
    "sine at full scale": sine,
    "808 bass": bass,
    "chord": chord,
    "sparse notes": sparse,
    "transients": transients,
    "dense": dense,
}
"""Every kind, by its name in tables."""


def _times(seconds: float) -> _Signal:
    return np.arange(round(seconds * RATE)) / RATE


def _chord(times: _Signal) -> _Signal:
    rng = np.random.default_rng(1)
    out = np.zeros_like(times)
    for pitch in (220.0, 277.2, 329.6, 440.0):
        for partial in range(1, 9):
            out += np.sin(2 * np.pi * pitch * partial * times + rng.uniform(0, 6)) / partial**1.3
    return out


def _bursts(times: _Signal) -> _Signal:
    noise = np.random.default_rng(3).standard_normal(len(times))
    return np.asarray(np.exp(-30 * (times % 0.25)) * noise)


def _peak(signal: _Signal) -> _Signal:
    return np.asarray(signal / np.abs(signal).max())


def _stereo(signal: _Signal, peak: float, lag: int = 0) -> Samples:
    """Return the signal on both channels with the given peak; the right one is `lag` samples late."""
    left = peak * _peak(signal)
    return np.stack([left, np.roll(left, lag)], axis=1).astype(np.float32)
