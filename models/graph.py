"""Builds one ONNX graph for all networks of a model, including the masks.

The input `magnitude` (n, 2, frames, 1024) holds absolute values of the short-time Fourier transform. Channels
are first, as ONNX Runtime's fast convolutions need them, and `frames` is a multiple of 64: the encoder
halves it six times. Each instrument has an output of its name and of the input's shape: its share (0 to 1) of
each bin.

The networks are the U-Nets of Jansson et al., "Singing voice separation with deep U-Net convolutional
networks" (ISMIR 2017), in Deezer's variant: an encoder of six strided 5x5 convolutions, each followed by
batch normalisation and an activation, with the skip taken *before* the normalisation; a decoder of six
transposed convolutions, each followed by an activation and *then* batch normalisation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stemline.models.catalogue import Activation, MaskKind, Model
from stemline.separation.errors import WeightsCorrupt
from stemline.separation.network import CHANNELS, MASK_EPSILON, NETWORK_BINS

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from numpy.typing import NDArray

    Tensors = Mapping[str, NDArray[np.float32]]

#: Increased with every change of the graph, so that graphs of other versions are not read from the cache.
GRAPH_VERSION = 5

_OPSET = 17
_LAYERS = 6
_LEAKY_SLOPE = 0.2
#: Epsilon of Keras' batch normalisation.
_BATCH_NORM_EPSILON = 1e-3
#: TensorFlow's "same" padding for a 5x5 kernel with stride 2 and an even input: one before, two after.
_STRIDED_PADS = [1, 1, 2, 2]
#: The taps of a transposed 5x5 kernel with stride 2 that make even and odd outputs, and their padding.
_POLYPHASE_TAPS = (((3, 1), (1, 0)), ((4, 2, 0), (1, 1)))
#: "Same" padding for the last 4x4 kernel with dilation 2.
_DILATED_PADS = [3, 3, 3, 3]


def build_graph(model: Model, tensors: Tensors, *, polyphase: bool) -> onnx.ModelProto:
    """Return the graph of `model` with the weights `tensors`.

    Args:
        model: The model.
        tensors: Its weights, by the names and in the layout of Spleeter's checkpoints.
        polyphase: Whether transposed convolutions are split into plain ones, which run faster on CPUs.

    Raises:
        WeightsCorrupt: A tensor is missing or has another shape than the network needs.
    """
    import onnx  # noqa: PLC0415  # takes half a second, and is not needed for a cached graph
    from onnx import TensorProto, helper  # noqa: PLC0415

    builder = _Builder(tensors, polyphase=polyphase)
    estimates = [builder.network(model, number) for number in range(len(model.instruments))]
    builder.masks(model, estimates)
    shape: list[str | int | None] = ["batch", CHANNELS, "frames", NETWORK_BINS]
    graph = helper.make_graph(
        builder.nodes,
        model.name,
        [helper.make_tensor_value_info("magnitude", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in model.instruments],
        builder.initializers,
    )
    proto = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", _OPSET)], producer_name="stemline"
    )
    proto.ir_version = 8
    onnx.checker.check_model(proto)
    return proto


class _Builder:
    """The nodes and constants of one graph."""

    def __init__(self, tensors: Tensors, *, polyphase: bool) -> None:
        self._tensors = tensors
        self._polyphase = polyphase
        self._numbers: set[str] = set()
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []

    def network(self, model: Model, number: int) -> str:
        """Add the network of one instrument; return the name of its logits, negated for a sigmoid."""
        convolution = number * (_LAYERS + 1)
        transposed = number * _LAYERS
        normalisation = number * 2 * _LAYERS
        prefix = model.instruments[number]
        signal = "magnitude"
        skips = []
        for layer in range(_LAYERS):
            name = f"{prefix}/encoder{layer + 1}"
            skip = self._convolution(name, signal, convolution + layer, strides=[2, 2], pads=_STRIDED_PADS)
            skips.append(skip)
            # The checkpoint has a sixth normalisation that is not used: the decoder starts before it.
            if layer < _LAYERS - 1:
                signal = self._activation(
                    name, self._normalisation(name, skip, normalisation + layer), model.encoder
                )
        signal = skips.pop()
        for layer in range(_LAYERS):
            name = f"{prefix}/decoder{layer + 1}"
            upsample = self._upsampled_polyphase if self._polyphase and skips else self._upsampled
            signal = upsample(
                name, signal, transposed + layer, normalisation + _LAYERS + layer, model.decoder
            )
            if skips:
                signal = self._node("Concat", [skips.pop(), signal], f"{name}/merged", axis=1)
        return self._convolution(
            f"{prefix}/last",
            signal,
            convolution + _LAYERS,
            sign=-1 if model.mask is MaskKind.SIGMOID else 1,
            dilations=[2, 2],
            pads=_DILATED_PADS,
        )

    def masks(self, model: Model, logits: list[str]) -> None:
        """Add the outputs: shares (e² + epsilon / n) / (Σ e² + epsilon), where e is a network's estimate."""
        import numpy as np  # noqa: PLC0415

        if model.mask is MaskKind.SIGMOID:
            # x / (1 + exp(-logit)); the weights contain the negation. ONNX Runtime's Sigmoid is inexact for
            # very negative logits, on which the shares depend where all estimates are small.
            exponentials = [self._node("Exp", [logit], f"{logit}/exp") for logit in logits]
            divisors = [
                self._node("Add", [value, self._number(1)], f"{value}/plus1") for value in exponentials
            ]
            estimates = [self._node("Div", ["magnitude", value], f"{value}/estimate") for value in divisors]
        else:
            axes = self._constant("axes", np.array([0], np.int64))
            stacked = [self._node("Unsqueeze", [logit, axes], f"{logit}/stacked") for logit in logits]
            joined = self._node("Concat", stacked, "joined", axis=0)
            softmax = self._node("Softmax", [joined], "softmax", axis=0)
            split = [f"{logit}/split" for logit in logits]
            self._add("Split", [softmax], split, axis=0)
            shares = [self._node("Squeeze", [name, axes], f"{name}/share") for name in split]
            estimates = [self._node("Mul", [share, "magnitude"], f"{share}/estimate") for share in shares]
        floor = self._number(MASK_EPSILON / len(logits))
        powers = [
            self._node("Add", [self._node("Mul", [e, e], f"{e}/squared"), floor], f"{e}/power")
            for e in estimates
        ]
        total = powers[0]
        for number, power in enumerate(powers[1:]):
            total = self._node("Add", [total, power], f"total{number}")
        for instrument, power in zip(model.instruments, powers, strict=True):
            self._node("Div", [power, total], instrument)

    def _convolution(self, name: str, signal: str, number: int, *, sign: int = 1, **attributes: Any) -> str:
        # TensorFlow: (height, width, in, out); ONNX: (out, in, height, width).
        kernel = sign * self._weight(_numbered("conv2d", number) + "/kernel").transpose(3, 2, 0, 1)
        bias = sign * self._weight(_numbered("conv2d", number) + "/bias")
        inputs = [signal, self._constant(f"{name}/kernel", kernel), self._constant(f"{name}/bias", bias)]
        return self._node(
            "Conv", inputs, f"{name}/convolved", kernel_shape=list(kernel.shape[2:]), **attributes
        )

    def _upsampled(
        self, name: str, signal: str, number: int, normalisation: int, activation: Activation
    ) -> str:
        """Add a transposed convolution, its activation and its normalisation."""
        # TensorFlow: (height, width, out, in); ONNX: (in, out, height, width).
        kernel = self._weight(_numbered("conv2d_transpose", number) + "/kernel").transpose(3, 2, 0, 1)
        bias = self._weight(_numbered("conv2d_transpose", number) + "/bias")
        inputs = [signal, self._constant(f"{name}/kernel", kernel), self._constant(f"{name}/bias", bias)]
        attributes = {"kernel_shape": [5, 5], "strides": [2, 2], "pads": _STRIDED_PADS}
        signal = self._node("ConvTranspose", inputs, f"{name}/convolved", **attributes)
        return self._normalisation(name, self._activation(name, signal, activation), normalisation)

    def _upsampled_polyphase(
        self, name: str, signal: str, number: int, normalisation: int, activation: Activation
    ) -> str:
        """Add the same as four convolutions, one for each parity of the output's rows and columns.

        Output row 2m depends on input rows m - 1 and m, row 2m + 1 on m - 1, m and m + 1; columns likewise.
        With channels last, interleaving the four results copies whole runs. There are as many products.
        """
        import numpy as np  # noqa: PLC0415

        kernel = self._weight(_numbered("conv2d_transpose", number) + "/kernel").transpose(2, 3, 0, 1)
        bias = self._weight(_numbered("conv2d_transpose", number) + "/bias")
        bias_name = self._constant(f"{name}/bias", bias)
        rows = []
        for row, (row_taps, row_pads) in enumerate(_POLYPHASE_TAPS):
            columns = []
            for column, (column_taps, column_pads) in enumerate(_POLYPHASE_TAPS):
                part = f"{name}/phase{row}{column}"
                taps = np.ascontiguousarray(kernel[:, :, row_taps][..., column_taps])
                pads = [row_pads[0], column_pads[0], row_pads[1], column_pads[1]]
                result = self._node(
                    "Conv",
                    [signal, self._constant(f"{part}/kernel", taps), bias_name],
                    f"{part}/convolved",
                    kernel_shape=list(taps.shape[2:]),
                    pads=pads,
                )
                result = self._normalisation(part, self._activation(part, result, activation), normalisation)
                columns.append(self._node("Transpose", [result], f"{part}/last", perm=[0, 2, 3, 1]))
            rows.append(self._node("Concat", columns, f"{name}/row{row}", axis=3))
        both = self._node("Concat", rows, f"{name}/rows", axis=2)
        # In memory this is the interleaved order already: (n, frames, rows x bins, columns x channels).
        bins = NETWORK_BINS >> (_LAYERS - 1 - number % _LAYERS)
        shape = self._constant(f"{name}/shape", np.array([0, -1, bins, kernel.shape[0]], np.int64))
        whole = self._node("Reshape", [both, shape], f"{name}/whole")
        return self._node("Transpose", [whole], f"{name}/interleaved", perm=[0, 3, 1, 2])

    def _normalisation(self, name: str, signal: str, number: int) -> str:
        prefix = _numbered("batch_normalization", number)
        inputs = [
            self._constant(f"{name}/{part}", self._weight(f"{prefix}/{part}"))
            for part in ("gamma", "beta", "moving_mean", "moving_variance")
        ]
        return self._node(
            "BatchNormalization", [signal, *inputs], f"{name}/normalised", epsilon=_BATCH_NORM_EPSILON
        )

    def _activation(self, name: str, signal: str, activation: Activation) -> str:
        if activation is Activation.ELU and self._polyphase:
            # The same in four operations, which ONNX Runtime computes faster than its Elu.
            low = self._node("Min", [signal, self._number(0)], f"{name}/low")
            grown = self._node("Exp", [low], f"{name}/grown")
            less = self._node("Sub", [grown, self._number(1)], f"{name}/less")
            return self._node("Max", [signal, less], f"{name}/activated")
        attributes = {"alpha": _LEAKY_SLOPE} if activation is Activation.LEAKY_RELU else {}
        return self._node(activation.value, [signal], f"{name}/activated", **attributes)

    def _weight(self, name: str) -> NDArray[np.float32]:
        try:
            return self._tensors[name]
        except KeyError:
            raise WeightsCorrupt(f"The checkpoint has no tensor {name}.") from None

    def _number(self, value: float) -> str:
        """Return the name of a constant, which is added once."""
        import numpy as np  # noqa: PLC0415

        name = f"number/{value:g}"
        if name not in self._numbers:
            self._numbers.add(name)
            self._constant(name, np.array(value, np.float32))
        return name

    def _constant(self, name: str, value: NDArray[Any]) -> str:
        import numpy as np  # noqa: PLC0415
        from onnx import numpy_helper  # noqa: PLC0415

        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def _node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self._add(kind, inputs, [output], **attributes)
        return output

    def _add(self, kind: str, inputs: list[str], outputs: list[str], **attributes: Any) -> None:
        from onnx import helper  # noqa: PLC0415

        self.nodes.append(helper.make_node(kind, inputs, outputs, name=outputs[0], **attributes))


def _numbered(name: str, number: int) -> str:
    """Return Keras' name of the `number`-th layer of a kind: conv2d, conv2d_1, conv2d_2, ..."""
    return f"{name}_{number}" if number else name
