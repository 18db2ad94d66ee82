"""How well an encoder kept the tones of a stem."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Length of the frames that are compared, and their distance, in samples: tones last longer.
_FRAME, _HOP = 2048, 4096
#: A frame is tonal whose strongest bins, so many, hold so much of its energy.
_BINS, _SHARE = 16, 0.9

_WINDOW = np.hanning(_FRAME).astype(np.float32)

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Tones:
    """The strongest bins of a stem's tonal frames.

    Attributes:
        is_tonal: (frames, channels).
        bins: Numbers of the bins, (frames, channels, bins).
        values: What is in them.
    """

    is_tonal: NDArray[np.bool_]
    bins: NDArray[np.intp]
    values: NDArray[np.complex64]

    def error_db(self, heard: Samples) -> float:
        """Return the energy of the error in the bins relative to these, dB.

        Args:
            heard: The stem, decoded; where it is shorter, the rest is not compared.
        """
        if len(heard) < _FRAME:
            return 0.0
        found = _spectra(heard)[: len(self.values)]
        count = len(found)
        is_tonal = self.is_tonal[:count]
        truth = self.values[:count][is_tonal]
        error = np.take_along_axis(found, self.bins[:count], axis=-1)[is_tonal] - truth
        return 10 * math.log10(_energy(error) / (_energy(truth) or 1.0) + 1e-12)


def find_tones(stem: Samples) -> Tones | None:
    """Return the tones of a stem (frames, channels).

    Returns:
        None where tonal frames hold less than half of the energy: nothing can be said of noise this way.
    """
    if len(stem) < _FRAME:
        return None
    spectra = _spectra(stem)
    power = np.square(spectra.real) + np.square(spectra.imag)
    strongest = np.argpartition(power, -_BINS, axis=-1)[..., -_BINS:]
    kept = np.take_along_axis(power, strongest, axis=-1).sum(axis=-1)
    whole = power.sum(axis=-1)
    is_tonal = kept > _SHARE * whole
    if float(kept[is_tonal].sum()) <= 0.5 * float(whole.sum()):
        return None
    return Tones(is_tonal, strongest, np.take_along_axis(spectra, strongest, axis=-1))


def _energy(values: NDArray[np.complex64]) -> float:
    return float(np.square(values.real).sum() + np.square(values.imag).sum())


def _spectra(samples: Samples) -> NDArray[np.complex64]:
    frames = np.lib.stride_tricks.sliding_window_view(samples, _FRAME, axis=0)[::_HOP]
    return np.fft.rfft(frames * _WINDOW, axis=-1, norm="forward").astype(np.complex64)
