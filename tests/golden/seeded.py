"""Weights for models whose real ones are not at hand: drawn from a seed that is each tensor's name.

Everything here is numpy alone, so that Spleeter's environment and Stemline's draw the same values.
"""

from __future__ import annotations

import zlib

import numpy as np

FILTERS = (16, 32, 64, 128, 256, 512)


def shapes(instruments: int) -> dict[str, tuple[int, ...]]:
    """Return name and shape of every variable that Spleeter's networks create, in TensorFlow's layouts."""
    found: dict[str, tuple[int, ...]] = {}

    def add(kind: str, number: int, **parts: tuple[int, ...]) -> None:
        prefix = f"{kind}_{number}" if number else kind
        found.update({f"{prefix}/{part}": shape for part, shape in parts.items()})

    def normalisation(number: int, filters: int) -> None:
        size = (filters,)
        add("batch_normalization", number, gamma=size, beta=size, moving_mean=size, moving_variance=size)

    for network in range(instruments):
        for layer, filters in enumerate(FILTERS):
            depth = FILTERS[layer - 1] if layer else 2
            add("conv2d", network * 7 + layer, kernel=(5, 5, depth, filters), bias=(filters,))
            normalisation(network * 12 + layer, filters)
        outputs = (*FILTERS[-2::-1], 1)
        for layer, filters in enumerate(outputs):
            depth = 2 * outputs[layer - 1] if layer else FILTERS[-1]
            add("conv2d_transpose", network * 6 + layer, kernel=(5, 5, filters, depth), bias=(filters,))
            normalisation(network * 12 + 6 + layer, filters)
        add("conv2d", network * 7 + 6, kernel=(4, 4, 1, 2), bias=(2,))
    return found


def tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return the tensor called `name`: scaled so that signals neither die nor explode on their way."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    kind = name.rsplit("/", 1)[1]
    if kind == "kernel":
        fan_in = np.prod(shape[:2]) * (shape[3] / 4 if "transpose" in name else shape[2])
        return (rng.standard_normal(shape) * np.sqrt(2 / fan_in)).astype(np.float32)
    if kind in ("gamma", "moving_variance"):
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    return rng.uniform(-0.3, 0.3, shape).astype(np.float32)


def tensors(instruments: int) -> dict[str, np.ndarray]:
    """Return all variables of a model with so many instruments."""
    return {name: tensor(name, shape) for name, shape in shapes(instruments).items()}
