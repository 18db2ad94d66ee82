"""Down-mix of any layout to stereo, and up-mix of stereo to the layouts the outputs can hold."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_H = 0.5**0.5

# ITU-R BS.775: centre and surrounds at -3 dB, the effects channel left out.
_PLACES: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("FL", "DL", "FLC", "WL", "TFL"), (1.0, 0.0)),
    **dict.fromkeys(("FR", "DR", "FRC", "WR", "TFR"), (0.0, 1.0)),
    **dict.fromkeys(("BL", "SL", "SDL", "TBL", "TSL"), (_H, 0.0)),
    **dict.fromkeys(("BR", "SR", "SDR", "TBR", "TSR"), (0.0, _H)),
    **dict.fromkeys(("FC", "TFC"), (_H, _H)),
    **dict.fromkeys(("BC", "TC", "TBC"), (_H * _H, _H * _H)),
    **dict.fromkeys(("LFE", "LFE2"), (0.0, 0.0)),
}

# What a count of channels means where the file does not say it (FFmpeg's defaults).
_DEFAULTS: dict[int, tuple[str, ...]] = {
    3: ("FL", "FR", "LFE"),
    4: ("FL", "FR", "FC", "BC"),
    5: ("FL", "FR", "FC", "BL", "BR"),
    6: ("FL", "FR", "FC", "LFE", "BL", "BR"),
    7: ("FL", "FR", "FC", "LFE", "BC", "SL", "SR"),
    8: ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
}


@lru_cache(maxsize=32)
def downmix_matrix(names: tuple[str, ...]) -> NDArray[np.float32]:
    """Return the (channels, 2) matrix that brings channels of these names to stereo.

    It is scaled by one factor so that full scale on every channel cannot clip. Channels without a known place
    are heard on both sides.
    """
    if any(name not in _PLACES for name in names):
        names = _DEFAULTS.get(len(names), names)
    matrix = np.array([_PLACES.get(name, (_H, _H)) for name in names], dtype=np.float64)
    loudest = matrix.sum(axis=0).max()
    return (matrix / loudest if loudest > 0 else matrix).astype(np.float32)


def to_stereo(samples: NDArray[np.float32], names: tuple[str, ...]) -> NDArray[np.float32]:
    """Mix (frames, channels) with channels of these names down to (frames, 2).

    Mono is written to both sides at full level, stereo is left as it is.
    """
    channels = samples.shape[1]
    if channels == 1:
        return np.repeat(samples, 2, axis=1)
    if channels == 2:
        return samples
    return samples @ downmix_matrix(names)


def narrow(samples: NDArray[np.float32], channels: int) -> NDArray[np.float32]:
    """Bring stereo (frames, 2) to mono, the mean of both sides, where one channel is asked for."""
    return samples.mean(axis=1, keepdims=True, dtype=np.float32) if channels == 1 else samples


def widen(samples: NDArray[np.float32], channels: int) -> NDArray[np.float32]:
    """Bring (frames, 1 or 2) to (frames, channels).

    Beyond two, the stem stays on front left and front right at full level and the others are silent, so that
    a player's own down-mix gives the stem back.
    """
    if samples.shape[1] == channels:
        return samples
    wide = np.zeros((len(samples), channels), dtype=np.float32)
    wide[:, : samples.shape[1]] = samples
    return wide
