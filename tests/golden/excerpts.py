"""Which samples of a long output are kept as golden values."""

from __future__ import annotations

import numpy as np

#: Every so many samples over the whole length: a prime, so that no period of the transform hides behind it.
STRIDE = 997
#: Where two segments of 512 frames meet, less the frame of zeros: dense excerpts lie around it.
SEAM = 512 * 1024 - 4096
DENSE = 1024


def excerpt(stem: np.ndarray) -> np.ndarray:
    """Return (kept samples, 2): sparse over everything, dense at both ends and at the first seam."""
    pieces = [stem[::STRIDE], stem[:DENSE], stem[SEAM - DENSE // 2 : SEAM + DENSE // 2], stem[-DENSE:]]
    return np.concatenate(pieces).astype(np.float32)
