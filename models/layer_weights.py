"""The weights of layers in a Spleeter checkpoint, by Keras' names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from stemline.separation.errors import WeightsCorrupt

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Tensors = Mapping[str, NDArray[np.float32]]

#: Epsilon of Keras' batch normalisation.
BATCH_NORM_EPSILON = 1e-3
#: Convolutions of a network's encoder, and of its decoder; the encoder has one more, the last layer.
LAYERS = 6
_NORMALISATION_PARTS = ("gamma", "beta", "moving_mean", "moving_variance")


class LayerWeights:
    """Reads the weights of layers, which Keras numbers by kind over all networks of a model.

    Args:
        tensors: The weights, by the names and in the layout of Spleeter's checkpoints.
    """

    def __init__(self, tensors: Tensors) -> None:
        self._tensors = tensors

    def weight(self, name: str) -> NDArray[np.float32]:
        """Return a tensor of the checkpoint.

        Raises:
            WeightsCorrupt: There is none of this name.
        """
        try:
            return self._tensors[name]
        except KeyError:
            raise WeightsCorrupt(f"The checkpoint has no tensor {name}.") from None

    def layer(self, kind: str, number: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the kernel, in TensorFlow's layout, and the bias of the `number`-th layer of a kind."""
        name = _numbered(kind, number)
        return self.weight(f"{name}/kernel"), self.weight(f"{name}/bias")

    def normalisation(self, number: int) -> list[NDArray[np.float32]]:
        """Return gamma, beta, mean and variance of the `number`-th batch normalisation."""
        name = _numbered("batch_normalization", number)
        return [self.weight(f"{name}/{part}") for part in _NORMALISATION_PARTS]

    def scale_and_shift(self, number: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return what the `number`-th batch normalisation multiplies by, and what it adds then."""
        import numpy as np  # noqa: PLC0415

        gamma, beta, mean, variance = (part.astype(np.float64) for part in self.normalisation(number))
        scale = gamma / np.sqrt(variance + BATCH_NORM_EPSILON)
        return scale.astype(np.float32), (beta - mean * scale).astype(np.float32)


def _numbered(name: str, number: int) -> str:
    """Return Keras' name of the `number`-th layer of a kind: conv2d, conv2d_1, conv2d_2, ..."""
    return f"{name}_{number}" if number else name
