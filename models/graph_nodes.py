"""The nodes and constants of an ONNX graph that is made of a Spleeter checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stemline.models.layer_weights import LayerWeights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from stemline.models.layer_weights import Tensors


class GraphNodes(LayerWeights):
    """Collects the nodes and constants of one graph.

    Args:
        tensors: The weights, by the names and in the layout of Spleeter's checkpoints.

    Attributes:
        nodes, initializers: What was added.
    """

    def __init__(self, tensors: Tensors) -> None:
        super().__init__(tensors)
        self._numbers: set[str] = set()
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []

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
        """Add a constant of any shape and type; return `name`."""
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
