"""Networks from magnitudes to magnitudes, whose ratios divide the mix: Open-Unmix and others like it."""

from __future__ import annotations

from typing import Final

import numpy as np

from stemline.separation.kinds.kind import Array, Samples, Stems
from stemline.separation.network import CHANNELS
from stemline.separation.spectra import CentredTransform, Spectrum

#: Keeps silence from being divided by zero; Open-Unmix's own.
_EPSILON: Final = 1e-10


class RatioMask:
    """The mix's magnitudes (channels, bins, frames) in, those of each stem (stems, channels, …) out.

    A stem's share of a bin is its magnitude, to a power, divided by the sum of all; with one stem, divided by
    that of the mix, and at most 1. Above the network's bins it is the mean of the shares below.

    Args:
        transform: Around the network.
        bins: That the network sees.
        stems: Stems of the network.
        power: Exponent of the magnitudes.
        channels: That the network sees at a time.
    """

    fields = (
        "channels x spectrum.bins x spectrum.frames",
        "stems x channels x spectrum.bins x spectrum.frames",
    )

    def __init__(
        self,
        transform: CentredTransform,
        bins: int,
        stems: int,
        *,
        power: float = 1.0,
        channels: int = CHANNELS,
    ) -> None:
        self.shape = (channels, bins, transform.frames)
        self.output_shape = (stems, *self.shape)
        self._transform = transform
        self._power = power

    def encode(self, mix: Samples) -> tuple[Array, Spectrum]:
        """Return the magnitudes of the lowest bins, (channels, bins, frames), and the whole spectrum."""
        spectrum = self._transform.forward(mix)
        return np.ascontiguousarray(np.abs(spectrum[:, : self.shape[1]])), spectrum

    def decode(self, output: Array, context: Spectrum) -> Stems:
        """Return the stems (stems, channels, samples): the mix's spectrum times the share of each stem."""
        bins = self.shape[1]
        epsilon = np.float32(_EPSILON)
        magnitudes = np.maximum(output, 0)
        if len(magnitudes) == 1:
            mix = np.abs(context[:, :bins])
            shares = np.minimum(magnitudes / (mix + epsilon), np.float32(1)) ** np.float32(self._power)
        else:
            if self._power != 1:
                # Of the largest one, so that no power of a quiet sound comes near epsilon.
                largest = magnitudes.max(axis=0) + epsilon
                magnitudes = (magnitudes / largest) ** np.float32(self._power)
            shares = magnitudes / (magnitudes.sum(axis=0) + epsilon)
        stems = []
        for share in shares:
            spectrum = context.copy()
            spectrum[:, :bins] *= share
            spectrum[:, bins:] *= share.mean(axis=1, keepdims=True)
            stems.append(self._transform.inverse(spectrum))
        return np.stack(stems)
