"""Networks from samples to samples, such as Hybrid Transformer Demucs."""

from __future__ import annotations

from stemline.separation.kinds.kind import Array, Samples, Stems
from stemline.separation.network import CHANNELS


class Waveform:
    """The mix (channels, samples) in, the stems (stems, channels, samples) out.

    Args:
        stems: Stems of the network.
        samples: Of a segment.
        channels: That the network sees at a time.
    """

    fields = ("channels x segment.samples", "stems x channels x segment.samples")

    def __init__(self, stems: int, samples: int, channels: int = CHANNELS) -> None:
        self.shape = (channels, samples)
        self.output_shape = (stems, channels, samples)

    def encode(self, mix: Samples) -> tuple[Array, None]:
        """Return the segment (channels, samples) as it is."""
        return mix, None

    def decode(self, output: Array, context: None) -> Stems:  # noqa: ARG002  # the output is all there is
        """Return the output (stems, channels, samples) as it is."""
        return output
