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

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stemline.models.catalogue import MaskKind, Model
from stemline.models.graph_layers import STRIDED_PADS, CpuLayers, Last, Layers, PlainLayers, Upsampling
from stemline.models.graph_nodes import GraphNodes
from stemline.models.layer_weights import LAYERS
from stemline.separation.network import CHANNELS, MASK_EPSILON, NETWORK_BINS

if TYPE_CHECKING:
    import onnx

    from stemline.models.layer_weights import Tensors

#: Increased with every change of the graph, so that graphs of other versions are not read from the cache.
GRAPH_VERSION = 6

_OPSET = 17


def build_graph(model: Model, tensors: Tensors, *, polyphase: bool) -> onnx.ModelProto:
    """Return the graph of `model` with the weights `tensors`.

    Args:
        model: The model.
        tensors: Its weights, by the names and in the layout of Spleeter's checkpoints.
        polyphase: Whether the layers have the forms that CPUs run faster; see `CpuLayers`.

    Raises:
        WeightsCorrupt: A tensor is missing or has another shape than the network needs.
    """
    nodes = GraphNodes(tensors)
    masks = add_masks(nodes, CpuLayers(nodes) if polyphase else PlainLayers(nodes), model)
    return finished(
        model,
        nodes,
        inputs=["magnitude"],
        outputs=masks,
        shape=["batch", CHANNELS, "frames", NETWORK_BINS],
    )


def finished(
    model: Model, nodes: GraphNodes, *, inputs: Sequence[str], outputs: Sequence[str], shape: list[str | int]
) -> onnx.ModelProto:
    """Return the model of the nodes, whose inputs and outputs all have one shape."""
    import onnx  # noqa: PLC0415  # takes half a second, and is not needed for a cached graph
    from onnx import TensorProto, helper  # noqa: PLC0415

    graph = helper.make_graph(
        nodes.nodes,
        model.name,
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in outputs],
        nodes.initializers,
    )
    proto = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", _OPSET)], producer_name="stemline"
    )
    proto.ir_version = 8
    onnx.checker.check_model(proto)
    return proto


def add_masks(graph: GraphNodes, layers: Layers, model: Model) -> tuple[str, ...]:
    """Add the networks on `magnitude` and the masks, which are named after the instruments.

    Raises:
        WeightsCorrupt: A tensor is missing or has another shape than the network needs.
    """
    _add_masks(graph, model, [_network(graph, layers, model, each) for each in range(len(model.instruments))])
    return model.instruments


def _network(graph: GraphNodes, layers: Layers, model: Model, number: int) -> str:
    """Add the network of one instrument; return the name of its logits, negated for a sigmoid."""
    convolution = number * (LAYERS + 1)
    normalisation = number * 2 * LAYERS
    prefix = model.instruments[number]
    signal = "magnitude"
    skips = []
    for layer in range(LAYERS):
        name = f"{prefix}/encoder{layer + 1}"
        kernel, bias = graph.layer("conv2d", convolution + layer)
        kernel = kernel.transpose(3, 2, 0, 1)
        skips.append(graph.convolution(name, signal, kernel, bias, strides=[2, 2], pads=STRIDED_PADS))
        # The checkpoint has a sixth normalisation that is not used: the decoder starts before it.
        if layer < LAYERS - 1:
            signal = layers.normalised(name, skips[-1], normalisation + layer)
            signal = layers.activated(name, signal, model.encoder)
    decoder = [
        Upsampling(
            f"{prefix}/decoder{layer + 1}",
            *graph.layer("conv2d_transpose", number * LAYERS + layer),
            normalisation + LAYERS + layer,
            model.decoder,
            NETWORK_BINS >> (LAYERS - 1 - layer),
        )
        for layer in range(LAYERS)
    ]
    signal = layers.upsampled(decoder[0], skips.pop())
    for upsampling in decoder[1:-1]:
        name = f"{upsampling.name}/skipped"
        signal = layers.upsampled(upsampling, graph.node("Concat", [skips.pop(), signal], name, axis=1))
    kernel, bias = graph.layer("conv2d", convolution + LAYERS)
    sign = -1 if model.mask is MaskKind.SIGMOID else 1
    last = Last(f"{prefix}/last", sign * kernel, sign * bias)
    return layers.ending(decoder[-1], last, skips.pop(), signal)


def _add_masks(graph: GraphNodes, model: Model, logits: list[str]) -> None:
    """Add the masks: shares (e² + epsilon / n) / (Σ e² + epsilon), where e is a network's estimate."""
    import numpy as np  # noqa: PLC0415

    if model.mask is MaskKind.SIGMOID:
        # x / (1 + exp(-logit)); the weights contain the negation. ONNX Runtime's Sigmoid is inexact for
        # very negative logits, on which the shares depend where all estimates are small.
        exponentials = [graph.node("Exp", [logit], f"{logit}/exp") for logit in logits]
        divisors = [graph.node("Add", [value, graph.number(1)], f"{value}/plus1") for value in exponentials]
        estimates = [graph.node("Div", ["magnitude", value], f"{value}/estimate") for value in divisors]
    else:
        axes = graph.constant("axes", np.array([0], np.int64))
        stacked = [graph.node("Unsqueeze", [logit, axes], f"{logit}/stacked") for logit in logits]
        joined = graph.node("Concat", stacked, "joined", axis=0)
        softmax = graph.node("Softmax", [joined], "softmax", axis=0)
        split = [f"{logit}/split" for logit in logits]
        graph.add("Split", [softmax], split, axis=0)
        shares = [graph.node("Squeeze", [name, axes], f"{name}/share") for name in split]
        estimates = [graph.node("Mul", [share, "magnitude"], f"{share}/estimate") for share in shares]
    floor = graph.number(MASK_EPSILON / len(logits))
    powers = [
        graph.node("Add", [graph.node("Mul", [e, e], f"{e}/squared"), floor], f"{e}/power") for e in estimates
    ]
    total = powers[0]
    for number, power in enumerate(powers[1:]):
        total = graph.node("Add", [total, power], f"total{number}")
    for instrument, power in zip(model.instruments, powers, strict=True):
        graph.node("Div", [power, total], instrument)
