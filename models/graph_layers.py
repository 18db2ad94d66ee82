"""The layers of Spleeter's networks, written in the operators that suit a GPU or a CPU.

Both compute the same. Kernels have TensorFlow's layout in the checkpoint, (height, width, in, out), of
transposed convolutions (height, width, out, in); ONNX' are (out, in, height, width).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from stemline.models.catalogue import Activation
from stemline.models.graph_nodes import GraphNodes
from stemline.models.layer_weights import BATCH_NORM_EPSILON
from stemline.separation.network import CHANNELS, NETWORK_BINS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

#: TensorFlow's "same" padding for a 5x5 kernel with stride 2 and an even input: one before, two after.
STRIDED_PADS = [1, 1, 2, 2]
_LEAKY_SLOPE = 0.2
#: "Same" padding for the last 4x4 kernel with dilation 2.
_DILATED_PADS = [3, 3, 3, 3]
#: The taps of a transposed 5x5 kernel with stride 2 that make even and odd outputs, and their padding.
_POLYPHASE_TAPS = (((3, 1), (1, 0)), ((4, 2, 0), (1, 1)))
#: Neighbouring bins that the last two layers compute as channels: 16 are a whole vector of any processor.
_GROUP = 8


class Upsampling(NamedTuple):
    """A transposed convolution, the activation that follows, and the normalisation behind that.

    Attributes:
        name: Prefix of its nodes.
        kernel, bias: As in the checkpoint.
        normalisation: Number of the normalisation.
        activation: The activation.
        bins: Of its result.
    """

    name: str
    kernel: Array
    bias: Array
    normalisation: int
    activation: Activation
    bins: int


class Last(NamedTuple):
    """The last convolution, with dilation 2.

    Attributes:
        name: Prefix of its nodes.
        kernel, bias: As in the checkpoint.
    """

    name: str
    kernel: Array
    bias: Array


class Layers(Protocol):
    """Adds layers to a graph; each method returns the name of its result."""

    def normalised(self, name: str, signal: str, number: int) -> str:
        """Add a batch normalisation."""

    def activated(self, name: str, signal: str, activation: Activation) -> str:
        """Add an activation."""

    def upsampled(self, layer: Upsampling, signal: str) -> str:
        """Add a transposed convolution with its activation and normalisation."""

    def ending(self, layer: Upsampling, last: Last, skip: str, signal: str) -> str:
        """Add the last upsampling, to one channel, and the last convolution.

        Args:
            layer: The upsampling.
            last: The convolution.
            skip: The first part of the upsampling's input.
            signal: The second part; in the kernel its channels follow those of the skip.
        """


class PlainLayers:
    """One operator for each layer, as graphics processors have them."""

    def __init__(self, graph: GraphNodes) -> None:
        self._graph = graph

    def normalised(self, name: str, signal: str, number: int) -> str:
        """Add a batch normalisation."""
        parts = zip(("gamma", "beta", "mean", "variance"), self._graph.normalisation(number), strict=True)
        inputs = [signal, *(self._graph.constant(f"{name}/{part}", value) for part, value in parts)]
        output = f"{name}/normalised"
        return self._graph.node("BatchNormalization", inputs, output, epsilon=BATCH_NORM_EPSILON)

    def activated(self, name: str, signal: str, activation: Activation) -> str:
        """Add an activation."""
        return _activated(self._graph, name, signal, activation)

    def upsampled(self, layer: Upsampling, signal: str) -> str:
        """Add a transposed convolution with its activation and normalisation."""
        name, graph = layer.name, self._graph
        kernel = graph.constant(f"{name}/kernel", layer.kernel.transpose(3, 2, 0, 1))
        inputs = [signal, kernel, graph.constant(f"{name}/bias", layer.bias)]
        attributes = {"kernel_shape": [5, 5], "strides": [2, 2], "pads": STRIDED_PADS}
        signal = graph.node("ConvTranspose", inputs, f"{name}/convolved", **attributes)
        return self.normalised(name, self.activated(name, signal, layer.activation), layer.normalisation)

    def ending(self, layer: Upsampling, last: Last, skip: str, signal: str) -> str:
        """Add both layers after joining the channels of skip and signal."""
        merged = self._graph.node("Concat", [skip, signal], f"{layer.name}/skipped", axis=1)
        signal = self.upsampled(layer, merged)
        attributes = {"dilations": [2, 2], "pads": _DILATED_PADS}
        kernel = last.kernel.transpose(3, 2, 0, 1)
        return self._graph.convolution(last.name, signal, kernel, last.bias, **attributes)


class CpuLayers:
    """Forms that ONNX Runtime's blocked convolutions compute fast and in little memory.

    These convolutions read and write 8 or 16 channels as one vector. Transposed convolutions become plain
    ones, one for each parity of the output's rows and columns, with as many products; where a layer has one
    or two channels, neighbouring bins fill the vector instead.
    """

    def __init__(self, graph: GraphNodes) -> None:
        self._graph = graph

    def normalised(self, name: str, signal: str, number: int, *, copies: int = 1) -> str:
        """Add a batch normalisation as a convolution of each channel for itself.

        Unlike a normalisation, it takes in an activation, and brings any input to the blocked layout.

        Args:
            name: Prefix of the nodes.
            signal: Its input.
            number: Of the normalisation.
            copies: Channels of the input for each of the normalisation's.
        """
        import numpy as np  # noqa: PLC0415

        scale, shift = (np.repeat(part, copies) for part in self._graph.scale_and_shift(number))
        kernel = scale.reshape(-1, 1, 1, 1)
        return self._graph.convolution(f"{name}/normalised", signal, kernel, shift, group=len(shift))

    def activated(self, name: str, signal: str, activation: Activation) -> str:
        """Add an activation."""
        if activation is not Activation.ELU:
            return _activated(self._graph, name, signal, activation)
        # The same in four operations, which ONNX Runtime computes faster than its Elu.
        graph = self._graph
        low = graph.node("Min", [signal, graph.number(0)], f"{name}/low")
        grown = graph.node("Exp", [low], f"{name}/grown")
        less = graph.node("Sub", [grown, graph.number(1)], f"{name}/less")
        return graph.node("Max", [signal, less], f"{name}/activated")

    def upsampled(self, layer: Upsampling, signal: str) -> str:
        """Add four convolutions, and interleave their results.

        Output row 2m depends on input rows m - 1 and m, row 2m + 1 on m - 1, m and m + 1; columns likewise.
        With channels last, interleaving the four results copies whole runs.
        """
        name, graph = layer.name, self._graph
        kernel = layer.kernel.transpose(2, 3, 0, 1)
        rows = []
        for row, (row_taps, row_pads) in enumerate(_POLYPHASE_TAPS):
            columns = []
            for column, (column_taps, column_pads) in enumerate(_POLYPHASE_TAPS):
                part = f"{name}/phase{row}{column}"
                taps = kernel[:, :, row_taps][..., column_taps]
                pads = [row_pads[0], column_pads[0], row_pads[1], column_pads[1]]
                result = graph.convolution(part, signal, taps, layer.bias, pads=pads)
                result = self.activated(part, result, layer.activation)
                columns.append(graph.node("Transpose", [result], f"{part}/last", perm=[0, 2, 3, 1]))
            rows.append(graph.node("Concat", columns, f"{name}/row{row}", axis=3))
        both = graph.node("Concat", rows, f"{name}/rows", axis=2)
        # In memory this is the interleaved order already: (n, frames, rows x bins, columns x channels).
        whole = graph.reshape(both, [0, -1, layer.bins, len(kernel)], f"{name}/whole")
        whole = graph.node("Transpose", [whole], f"{name}/interleaved", perm=[0, 3, 1, 2])
        return self.normalised(name, whole, layer.normalisation)

    def ending(self, layer: Upsampling, last: Last, skip: str, signal: str) -> str:
        """Add both layers with `_GROUP` neighbouring bins as channels.

        What the skip, four times as large as the result, adds to it is computed apart. ONNX Runtime runs that
        convolution first, since it adds the first of two summands within the second one.
        """
        import numpy as np  # noqa: PLC0415

        name, graph = layer.name, self._graph
        kernel = _grouped_upsampling(layer.kernel)
        half = kernel.shape[1] // 2
        attributes: dict[str, Any] = {"strides": [1, _GROUP // 2], "pads": [1, 1, 1, 1]}
        bias = np.repeat(layer.bias, len(kernel))
        early = graph.convolution(f"{name}/skip", skip, kernel[:, :half], **attributes)
        late = graph.convolution(f"{name}/signal", signal, kernel[:, half:], bias, **attributes)
        result = self.activated(name, graph.node("Add", [early, late], f"{name}/sum"), layer.activation)
        result = self.normalised(name, result, layer.normalisation, copies=len(kernel))
        result = self._ungrouped(name, result, [0, 1, 3, 2, 4], [0, 1, -1, NETWORK_BINS])
        attributes = {"strides": [1, _GROUP], "dilations": [2, 1], "pads": _DILATED_PADS}
        bias = np.repeat(last.bias, _GROUP)
        result = graph.convolution(last.name, result, _grouped_last(last.kernel), bias, **attributes)
        return self._ungrouped(last.name, result, [0, 3, 1, 2, 4], [0, 0, 0, NETWORK_BINS])

    def _ungrouped(self, name: str, signal: str, order: list[int], shape: list[int]) -> str:
        """Put the bins of groups, which are the last part of the channels, beside each other.

        Args:
            name: Prefix of the nodes.
            signal: (n, 2 x `_GROUP`, frames, groups).
            order: Of (n, frames, groups, 2, `_GROUP`), so that the two are rows or channels.
            shape: Of the result.
        """
        graph = self._graph
        last = graph.node("Transpose", [signal], f"{name}/last", perm=[0, 2, 3, 1])
        apart = graph.reshape(last, [0, 0, NETWORK_BINS // _GROUP, 2, _GROUP], f"{name}/groups")
        ordered = graph.node("Transpose", [apart], f"{name}/ordered", perm=order)
        return graph.reshape(ordered, shape, f"{name}/ungrouped")


def _activated(graph: GraphNodes, name: str, signal: str, activation: Activation) -> str:
    attributes = {"alpha": _LEAKY_SLOPE} if activation is Activation.LEAKY_RELU else {}
    return graph.node(activation.value, [signal], f"{name}/activated", **attributes)


def _grouped_upsampling(kernel: Array) -> Array:
    """Return a transposed 5x5 kernel (5, 5, 1, in) of stride 2 as a plain one of stride (1, `_GROUP` / 2).

    Returns:
        (2 x `_GROUP`, in, 3, `_GROUP` / 2 + 2); the outputs are two rows of `_GROUP` bins.
    """
    import numpy as np  # noqa: PLC0415

    places = _GROUP // 2
    grouped = np.zeros((2, places, 2, kernel.shape[3], 3, places + 2), np.float32)
    for row, (row_taps, _) in enumerate(_POLYPHASE_TAPS):
        for column, (column_taps, _) in enumerate(_POLYPHASE_TAPS):
            taps = kernel[row_taps, :, 0][:, column_taps].transpose(2, 0, 1)
            for place in range(places):
                inside = slice(place, place + len(column_taps))
                grouped[row, place, column, :, : len(row_taps), inside] = taps
    return grouped.reshape(-1, *grouped.shape[3:])


def _grouped_last(kernel: Array) -> Array:
    """Return the last kernel (4, 4, 1, 2) with its dilation of bins, for a stride of `_GROUP` bins.

    Returns:
        (2 x `_GROUP`, 1, 4, `_GROUP` + 6); the outputs are two channels of `_GROUP` bins.
    """
    import numpy as np  # noqa: PLC0415

    size = len(kernel)
    grouped = np.zeros((CHANNELS, _GROUP, 1, size, _GROUP + 2 * (size - 1)), np.float32)
    for place in range(_GROUP):
        grouped[:, place, :, :, place : place + 2 * size - 1 : 2] = kernel.transpose(3, 2, 0, 1)
    return grouped.reshape(-1, *grouped.shape[2:])
