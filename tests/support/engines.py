"""Spleeter's engine, and one that computes in milliseconds what networks take a fifth of a second for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemline.models.catalogue import MODELS
from stemline.models.loading import load_engine
from stemline.separation.engine import Engine
from stemline.separation.network import Network


class LoudnessMasks:
    """Gives loud bins to the first stem and quiet ones to the second; an `Engine` of the 2-stem model.

    Its masks differ from bin to bin and add up to one, as those of the networks do.
    """

    network: Network = MODELS["2stems"]
    device = "cpu"
    any_length = True
    in_flight = 2

    def masks(
        self,
        magnitude: NDArray[np.float32],
        *,
        alone: bool = False,
        level: int = 0,
    ) -> list[NDArray[np.float32]]:
        """Return the share of each bin that belongs to each stem."""
        first = magnitude / (magnitude + np.float32(1))
        return [first, 1 - first]


def mask_engine(name: str = "2stems", **options: Any) -> Engine:
    """Load one of Spleeter's models; the options are those of `load_engine`."""
    loaded = load_engine(name, **options)
    assert isinstance(loaded, Engine)
    return loaded
