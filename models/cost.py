"""What a network costs: the operations of its products, counted from its graph."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from stemline.models.card import Card, Kind
from stemline.models.catalogue import model_named
from stemline.models.graph_cache import cached_graph, write_graph
from stemline.models.library import card_named
from stemline.models.segment_loading import network_of
from stemline.models.weights import WeightStore
from stemline.separation.cpus import available_cpus
from stemline.separation.errors import Cancelled, DeviceError, WeightsCorrupt
from stemline.separation.interruption import tried
from stemline.separation.network import CHANNELS, HOP, NETWORK_BINS, SAMPLE_RATE, SEGMENT_FRAMES
from stemline.separation.sessions import Session

#: Operators that are counted.
_COUNTED: Final = frozenset({"Conv", "ConvTranspose", "MatMul", "Gemm", "LSTM", "GRU", "RNN"})
#: Recurrent operators by the number of their gates.
_GATES: Final = {"LSTM": 4, "GRU": 3, "RNN": 1}


@dataclass(frozen=True, slots=True)
class Cost:
    """What a network costs.

    Attributes:
        operations: Multiplications and additions of one segment.
        segment_s: Audio by which a segment brings the stream on, s.
    """

    operations: int
    segment_s: float

    @property
    def per_second(self) -> float:
        """Return the operations for a second of audio."""
        return self.operations / self.segment_s


def cost_of(card: Card, store: WeightStore) -> Cost:
    """Return what a model costs; of an ensemble all members that have a weight.

    Raises:
        SeparationError: The model, or a member, is missing or cannot be run.
    """
    if card.kind is Kind.ENSEMBLE:
        used = [member.model for member in card.members if any(map(member.weight, card.stems))]
        costs = [cost_of(card_named(name, store), store) for name in used]
        return Cost(sum(round(cost.per_second) for cost in costs), 1.0)
    if card.format == "spleeter":
        model = model_named(card.name)
        folder = store.verified(model)
        graph = cached_graph(model, folder, polyphase=False) or write_graph(model, folder, polyphase=False)
        shape = (1, CHANNELS, SEGMENT_FRAMES, NETWORK_BINS)
        return Cost(operations_of(graph, shape), SEGMENT_FRAMES * HOP / SAMPLE_RATE)
    network = network_of(card)
    operations = operations_of(store.verified(card) / card.file, (1, *network.kind.shape))
    return Cost(operations * CHANNELS // network.channels, network.cutting.step / network.rate)


def operations_of(graph_of: Path | bytes, shape: tuple[int, ...]) -> int:
    """Return the multiplications and additions of a network's convolutions, products and recurrent layers.

    Everything else (normalisation, activations, copies) is left out: it takes time, but few operations. The
    network runs once on zeros, with the shapes of its tensors as further outputs, since few graphs state all.

    Args:
        graph_of: The network, or its file.
        shape: Of its input, with the batch.

    Raises:
        WeightsCorrupt: The file is no graph that can be run.
    """
    import onnx  # noqa: PLC0415  # slow to import
    from onnx import TensorProto, helper  # noqa: PLC0415

    try:
        model = onnx.load_from_string(graph_of) if isinstance(graph_of, bytes) else onnx.load(graph_of)
    except Exception as error:
        raise WeightsCorrupt(f"The network is no ONNX file: {error}") from error
    graph = model.graph
    counted = [node for node in graph.node if node.op_type in _COUNTED]
    used = (name for node in counted for name in (*node.input[:2], node.output[0]) if name)
    names = list(dict.fromkeys(used))
    before = len(graph.output)
    for number, name in enumerate(names):
        graph.node.append(helper.make_node("Shape", [name], [f"shape of {number}"]))
        graph.output.append(helper.make_tensor_value_info(f"shape of {number}", TensorProto.INT64, None))
    session = Session("the network", model.SerializeToString(), "cpu", threads=available_cpus())
    try:
        silence = np.zeros(shape, np.float32)
        found = tried(lambda interruption: session.run(silence, interruption))[before:]
    except (Cancelled, DeviceError) as error:
        raise WeightsCorrupt(f"The network cannot be run: {error.message}") from error
    shapes = {name: tuple(map(int, sizes)) for name, sizes in zip(names, found, strict=True)}
    return sum(_operations(node, shapes) for node in counted)


def _operations(node: Any, shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Return twice the multiplications of a node."""
    match node.op_type:
        case "Conv":
            # Of each output: one filter, (out, in / groups, kernel…).
            return 2 * math.prod(shapes[node.output[0]]) * math.prod(shapes[node.input[1]][1:])
        case "ConvTranspose":
            # Of each input: one filter, (in, out / groups, kernel…).
            return 2 * math.prod(shapes[node.input[0]]) * math.prod(shapes[node.input[1]][1:])
        case "MatMul":
            return 2 * math.prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]
        case "Gemm":
            is_transposed = any(each.name == "transA" and each.i for each in node.attribute)
            inner = shapes[node.input[0]][0 if is_transposed else 1]
            return 2 * math.prod(shapes[node.output[0]]) * inner
        case "LSTM" | "GRU" | "RNN":
            steps, batch, _ = shapes[node.input[0]]
            directions, rows, width = shapes[node.input[1]]
            hidden = rows // _GATES[node.op_type]
            return 2 * steps * batch * directions * rows * (width + hidden)
        case kind:
            raise ValueError(kind)  # not in _COUNTED
