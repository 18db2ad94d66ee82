"""Networks from samples to samples: Demucs and Hybrid Transformer Demucs, RoFormers exported whole."""

from __future__ import annotations

from stemline.separation.kinds.kind import Array, Samples, Stems
from stemline.separation.network import CHANNELS


class Waveform:
    """The mix (2, samples) in, the stems (stems, 2, samples) out.

    Args:
        stems: Stems of the network.
        samples: Of a segment.
    """

    def __init__(self, stems: int, samples: int) -> None:
        self.shape = (CHANNELS, samples)
        self.output_shape = (stems, CHANNELS, samples)

    def encode(self, mix: Samples) -> tuple[Array, None]:
        """Return the segment as it is."""
        return mix, None

    def decode(self, output: Array, context: None) -> Stems:  # noqa: ARG002  # the output is all there is
        """Return the output as it is."""
        return output
