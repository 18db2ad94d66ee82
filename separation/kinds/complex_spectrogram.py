"""Networks from complex spectra to complex spectra: MDX-Net and others of the TFC-TDF family."""

from __future__ import annotations

import numpy as np

from stemline.separation.kinds.kind import Array, Samples, Stems
from stemline.separation.network import CHANNELS
from stemline.separation.spectra import CentredTransform


class ComplexSpectrogram:
    """The lowest bins of the mix (4, bins, frames) in, those of each stem (4 * stems, bins, frames) out.

    The parts are left real, left imaginary, right real, right imaginary; of a network that sees one channel
    there are 2 instead of 4.

    Args:
        transform: Around the network.
        bins: That the network sees; those above are silent in its stems.
        stems: Stems of the network.
        compensation: Factor of the stems.
        zeroed_bins: Lowest bins that the network sees as zero.
        channels: That the network sees at a time.
    """

    fields = (
        "2 * channels x spectrum.bins x spectrum.frames",
        "2 * channels * stems x spectrum.bins x spectrum.frames",
    )

    def __init__(
        self,
        transform: CentredTransform,
        bins: int,
        stems: int,
        *,
        compensation: float = 1.0,
        zeroed_bins: int = 0,
        channels: int = CHANNELS,
    ) -> None:
        self.shape = (2 * channels, bins, transform.frames)
        self.output_shape = (stems * 2 * channels, bins, transform.frames)
        self._channels = channels
        self._transform = transform
        self._stems = stems
        self._compensation = np.float32(compensation)
        self._zeroed_bins = zeroed_bins

    def encode(self, mix: Samples) -> tuple[Array, None]:
        """Return the real and imaginary parts of the lowest bins, (2 channels, bins, frames)."""
        spectrum = self._transform.forward(mix)[:, : self.shape[1]]
        parts = np.stack([spectrum.real, spectrum.imag], axis=1)
        parts[:, :, : self._zeroed_bins] = 0
        return np.ascontiguousarray(parts.reshape(self.shape)), None

    def decode(self, output: Array, context: None) -> Stems:  # noqa: ARG002  # the output is all there is
        """Return the stems (stems, channels, samples) of the network's spectra, times the compensation."""
        transform = self._transform
        parts = output.reshape(self._stems, self._channels, 2, *self.shape[1:])
        spectrum = np.zeros((self._stems, self._channels, transform.bins, transform.frames), np.complex64)
        spectrum[:, :, : self.shape[1]].real = parts[:, :, 0]
        spectrum[:, :, : self.shape[1]].imag = parts[:, :, 1]
        return np.stack([transform.inverse(each) for each in spectrum]) * self._compensation
