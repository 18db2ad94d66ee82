"""The nodes and constants of an ONNX graph that is made of a Spleeter checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stemline.separation.errors import WeightsCorrupt

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Tensors = Mapping[str, NDArray[np.float32]]

#: Epsilon of Keras' batch normalisation.
BATCH_NORM_EPSILON = 1e-3
_NORMALISATION_PARTS = ("gamma", "beta", "moving_mean", "moving_variance")


class GraphNodes:
    """Collects the nodes and constants of one graph.

    Args:
        tensors: The weights, by the names and in the layout of Spleeter's checkpoints.

    Attributes:
        nodes, initializers: What was added.
    """

    def __init__(self, tensors: Tensors) -> None:
        self._tensors = tensors
        self._numbers: set[str] = set()
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []

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

    def convolution(
        self,
        name: str,
        signal: str,
        kernel: NDArray[np.float32],
        bias: NDArray[np.float32] | None = None,
        **attributes: Any,
    ) -> str:
        """Add a convolution with a kernel (out, in, height, width); return the name of its result."""
        inputs = [signal, self.constant(f"{name}/kernel", kernel)]
        if bias is not None:
            inputs.append(self.constant(f"{name}/bias", bias))
        shape = list(kernel.shape[2:])
        return self.node("Conv", inputs, f"{name}/convolved", kernel_shape=shape, **attributes)

    def number(self, value: float) -> str:
        """Return the name of a constant, which is added once."""
        import numpy as np  # noqa: PLC0415

        name = f"number/{value:g}"
        if name not in self._numbers:
            self._numbers.add(name)
            self.constant(name, np.array(value, np.float32))
        return name

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """Add a constant; return its name."""
        import numpy as np  # noqa: PLC0415
        from onnx import numpy_helper  # noqa: PLC0415

        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def reshape(self, signal: str, shape: list[int], output: str) -> str:
        """Add a change of shape, in which 0 keeps a size and -1 is what is left; return `output`."""
        import numpy as np  # noqa: PLC0415

        sizes = self.constant(f"{output}/shape", np.array(shape, np.int64))
        return self.node("Reshape", [signal, sizes], output)

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Add a node with one output; return its name."""
        self.add(kind, inputs, [output], **attributes)
        return output

    def add(self, kind: str, inputs: list[str], outputs: list[str], **attributes: Any) -> None:
        """Add a node."""
        from onnx import helper  # noqa: PLC0415

        self.nodes.append(helper.make_node(kind, inputs, outputs, name=outputs[0], **attributes))


def _numbered(name: str, number: int) -> str:
    """Return Keras' name of the `number`-th layer of a kind: conv2d, conv2d_1, conv2d_2, ..."""
    return f"{name}_{number}" if number else name
