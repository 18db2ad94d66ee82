"""The bins above 11 kHz, where the networks see nothing."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

#: The first bin of the upper band, 7.5 kHz. Compared with others in docs/quality.md.
UPPER_BIN: Final = 700

Mask = NDArray[np.float32]  # (channels, frames, 1,024)


class Extension(StrEnum):
    """What happens above 11 kHz."""

    AVERAGE = "average"  # the mean share of all bins below: full band, and the stems add up to the mix
    UPPER = "upper"  # the mean share from 7.5 to 11 kHz, likewise
    ZEROS = "zeros"  # silence, Spleeter's default

    def share(self, mask: Mask) -> Mask | None:
        """Return an instrument's share above its mask, (channels, frames, 1); None is silence."""
        match self:
            case Extension.AVERAGE:
                return np.asarray(np.mean(mask, axis=-1, keepdims=True))
            case Extension.UPPER:
                return np.asarray(np.mean(mask[..., UPPER_BIN:], axis=-1, keepdims=True))
            case _:
                return None
