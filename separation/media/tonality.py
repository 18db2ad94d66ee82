"""How well an encoder kept the tones of a stem."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

#: Length of the frames that are compared, and their distance, in samples: tones last longer.
_FRAME, _HOP = 2048, 4096
#: A frame is tonal whose strongest bins, so many, hold so much of its energy.
_BINS, _SHARE = 16, 0.9

_WINDOW = np.hanning(_FRAME).astype(np.float32)

Samples = NDArray[np.float32]


def tonal_error_db(stem: Samples, heard: Samples) -> float | None:
    """Return the energy of the error in the strongest bins of tonal frames, relative to these, dB.

    Args:
        stem: (frames, channels).
        heard: The same, decoded; where it is shorter, the rest is not compared.

    Returns:
        None where tonal frames hold less than half of the energy: nothing can be said of noise this way.
    """
    length = min(len(stem), len(heard))
    if length < _FRAME:
        return None
    truth, found = (_spectra(each[:length]) for each in (stem, heard))
    power = np.square(truth.real) + np.square(truth.imag)
    strongest = np.argpartition(power, -_BINS, axis=-1)[..., -_BINS:]
    kept = np.take_along_axis(power, strongest, axis=-1).sum(axis=-1)
    error = np.take_along_axis(found - truth, strongest, axis=-1)
    lost = (np.square(error.real) + np.square(error.imag)).sum(axis=-1)
    whole = power.sum(axis=-1)
    is_tonal = kept > _SHARE * whole
    tonal = float(kept[is_tonal].sum())
    if tonal <= 0.5 * float(whole.sum()):
        return None
    return 10 * math.log10(float(lost[is_tonal].sum()) / tonal + 1e-12)


def _spectra(samples: Samples) -> NDArray[np.complex64]:
    frames = np.lib.stride_tricks.sliding_window_view(samples, _FRAME, axis=0)[::_HOP]
    return np.fft.rfft(frames * _WINDOW, axis=-1, norm="forward").astype(np.complex64)
