"""Downmix of any layout to stereo, and of stereo to mono; upmix of stereo to the layouts of the outputs."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_MINUS_3_DB = 0.5**0.5

# Gains to left and right by ITU-R BS.775: centre and surrounds at -3 dB, the effects channel left out.
_GAINS: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("FL", "DL", "FLC", "WL", "TFL"), (1.0, 0.0)),
    **dict.fromkeys(("FR", "DR", "FRC", "WR", "TFR"), (0.0, 1.0)),
    **dict.fromkeys(("BL", "SL", "SDL", "TBL", "TSL"), (_MINUS_3_DB, 0.0)),
    **dict.fromkeys(("BR", "SR", "SDR", "TBR", "TSR"), (0.0, _MINUS_3_DB)),
    **dict.fromkeys(("FC", "TFC"), (_MINUS_3_DB, _MINUS_3_DB)),
    **dict.fromkeys(("BC", "TC", "TBC"), (0.5, 0.5)),
    **dict.fromkeys(("LFE", "LFE2"), (0.0, 0.0)),
}

# Ambisonics (ACN order, SN3D): two cardioids to the sides, from the pressure and what differs between left
# and right. Height, depth and higher orders are left out.
_AMBISONIC: dict[str, tuple[float, float]] = {"AMBI0": (1.0, 1.0), "AMBI1": (1.0, -1.0)}

# The channels of a file that gives only their number (FFmpeg's defaults).
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
    """Return the (channels, 2) matrix that mixes channels of these names to stereo.

    It is scaled so that full scale on every channel does not clip. Channels of unknown names go to both.
    """
    is_ambisonic = any(name in _AMBISONIC for name in names)
    if not is_ambisonic and any(name not in _GAINS for name in names):
        names = _DEFAULTS.get(len(names), names)
    unknown = (0.0, 0.0) if is_ambisonic else (_MINUS_3_DB, _MINUS_3_DB)
    matrix = np.array([(_GAINS | _AMBISONIC).get(name, unknown) for name in names], dtype=np.float64)
    loudest = np.abs(matrix).sum(axis=0).max()
    return (matrix / loudest if loudest > 0 else matrix).astype(np.float32)


def to_stereo(samples: NDArray[np.float32], names: tuple[str, ...]) -> NDArray[np.float32]:
    """Mix (frames, channels), with channels of these names, down to (frames, 2).

    Mono goes to both sides at full level. Stereo is returned as it is, and so are two channels of unknown or
    equal names; others (front centre and effects, for example) go where their names say.
    """
    channels = samples.shape[1]
    if channels == 1:
        return np.repeat(samples, 2, axis=1)
    if channels == 2 and not _is_mixed(names):
        return samples
    return samples @ downmix_matrix(names)


@lru_cache(maxsize=32)
def _is_mixed(names: tuple[str, ...]) -> bool:
    """Return whether two channels are known, and are not one for each side."""
    if len(set(names)) != 2 or any(name not in _GAINS for name in names):
        return False
    (to_left, other), (another, to_right) = (_GAINS[name] for name in names)
    return other != 0 or another != 0 or to_left == 0 or to_right == 0


def downmix(samples: NDArray[np.float32], channels: int) -> NDArray[np.float32]:
    """Mix stereo (frames, 2) to mono, the mean of both sides, where `channels` is 1."""
    return samples.mean(axis=1, keepdims=True, dtype=np.float32) if channels == 1 else samples


def upmix(samples: NDArray[np.float32], channels: int) -> NDArray[np.float32]:
    """Spread (frames, 1 or 2) to (frames, channels).

    Beyond two, the stem is on front left and front right at full level and the others are silent, so that the
    downmix of a player gives the stem back.
    """
    if samples.shape[1] == channels:
        return samples
    wide = np.zeros((len(samples), channels), dtype=np.float32)
    wide[:, : samples.shape[1]] = samples
    return wide
