"""What every kind of network offers to the engine that runs it."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]  # (channels, samples)
Stems = NDArray[np.float32]  # (stems, channels, samples)
Array = NDArray[np.float32]


class NetworkKind(Protocol):
    """Turns a segment of samples into the input of a network, and its output into stems."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of the network's input, without the batch."""

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Return the shape of its output, without the batch."""

    @property
    def fields(self) -> tuple[str, str]:
        """Return which fields of a card decide the two shapes, for messages."""

    def encode(self, mix: Samples) -> tuple[Array, Any]:
        """Return the input of the network for a segment, and what `decode` needs besides the output.

        Args:
            mix: (channels, samples) of one segment.

        Returns:
            An array of the shape `shape`, and a value for `decode`.
        """

    def decode(self, output: Array, context: Any) -> Stems:
        """Return the stems of a segment, (stems, channels, samples).

        Args:
            output: What the network computed, of the shape `output_shape`.
            context: The second value that `encode` returned for the segment.
        """
