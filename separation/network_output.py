"""What is checked of the values that a network gives, on any device."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stemline.separation.engine import LoadedEngine
from stemline.separation.errors import BrokenNetwork

#: Largest value that is taken for one of a sound or of a mask; sums of larger ones could overflow.
LARGEST: Final = 1e12


def check_output(engine: LoadedEngine, outputs: Iterable[NDArray[np.float32]]) -> None:
    """Make sure that masks or samples of a network are numbers that can be computed with.

    Args:
        engine: What gave them.
        outputs: Arrays of any shapes.

    Raises:
        BrokenNetwork: A value is not a number, infinite, or beyond any sound.
    """
    for output in outputs:
        # The comparison is False for NaN, too, which the largest value is where there is one.
        if output.size and not max(float(output.max()), -float(output.min())) <= LARGEST:
            raise BrokenNetwork(
                f"The network of {engine.network.name} gives values that are not finite numbers"
                f" on {engine.device}."
            )
