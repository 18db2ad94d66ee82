"""The parameters that all of Spleeter's networks share, and the value that describes one to an engine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

#: Sample rate of the networks, Hz.
SAMPLE_RATE = 44_100
#: Channels of the networks.
CHANNELS = 2
#: Length of a short-time Fourier frame, samples.
FRAME = 4_096
#: Distance between two frames, samples.
HOP = 1_024
#: Bins of a frame.
FRAME_BINS = FRAME // 2 + 1
#: Bins that a network sees (0 to 11 kHz).
NETWORK_BINS = 1_024
#: Frames that a network sees at once (11.9 s); segments are independent of each other.
SEGMENT_FRAMES = 512
#: Added to the sum of the squared estimates so that silence is divided evenly between the instruments.
MASK_EPSILON = 1e-10


@dataclass(frozen=True, slots=True)
class Network:
    """The networks of one model, which an engine runs together.

    Attributes:
        name: Spleeter's name of the model, such as `2stems`.
        instruments: Names of the outputs, in the order in which Spleeter built the networks.
    """

    name: str
    instruments: tuple[str, ...]

    def is_complete(self, stems: Iterable[str]) -> bool:
        """Return whether these stems add up to the mix by construction."""
        return set(stems) == set(self.instruments)

    @property
    def parts(self) -> tuple[str, ...]:
        """Return the stems that are made independently of each other, and are meant to be the whole mix.

        There are none where stems add up by construction.
        """
        return ()
