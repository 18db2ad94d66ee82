from __future__ import annotations

import math

import numpy as np
import pytest
from onnx.shape_inference import infer_shapes

from stemline.models.catalogue import MODELS
from stemline.models.graph import build_graph
from stemline.separation.errors import WeightsCorrupt
from stemline.separation.onnx_engine import OnnxEngine
from tests.golden import seeded


@pytest.fixture(scope="module")
def tensors() -> dict[str, np.ndarray]:
    return seeded.tensors(2)


def engine(tensors, *, polyphase: bool) -> OnnxEngine:
    def graph(**_: bool) -> bytes:
        return build_graph(MODELS["2stems"], tensors, polyphase=polyphase).SerializeToString()

    return OnnxEngine(MODELS["2stems"], graph, device="cpu", threads=2)


@pytest.mark.parametrize("frames", [64, pytest.param(512, marks=pytest.mark.thorough), 1024])
def test_both_forms_of_the_graph_compute_the_same(tensors, frames: int) -> None:
    """Split transposed convolutions give the same masks as whole ones, for windows of any length."""
    magnitude = np.abs(np.random.default_rng(2).standard_normal((2, frames, 1024), dtype=np.float32))
    whole = engine(tensors, polyphase=False).masks(magnitude)
    apart = engine(tensors, polyphase=True).masks(magnitude)
    assert len(whole) == 2
    for expected, actual in zip(whole, apart, strict=True):
        assert np.abs(expected - actual).max() < 1e-5


def test_no_value_of_a_run_on_cpus_is_larger_than_the_first_skip(tensors) -> None:
    """Convolutions write whole vectors of up to 16 channels, also where a layer has one or two."""
    graph = build_graph(MODELS["2stems"], tensors, polyphase=True)
    for size, name in zip((1, 512), ("batch", "frames"), strict=True):
        for dimension in graph.graph.input[0].type.tensor_type.shape.dim:
            if dimension.dim_param == name:
                dimension.dim_value = size
    convolved = {node.output[0] for node in graph.graph.node if node.op_type == "Conv"}
    values = infer_shapes(graph).graph.value_info
    sizes = {}
    for value in values:
        batch, channels, *others = (each.dim_value for each in value.type.tensor_type.shape.dim)
        whole = -(-channels // 16) * 16 if value.name in convolved else channels
        sizes[value.name] = batch * whole * math.prod(others)
    assert len(values) == len(graph.graph.node) - len(graph.graph.output)
    assert 16 * 256 * 512 == max(sizes.values())


def test_shares_add_up_to_one(tensors) -> None:
    """Every bin is divided between the instruments without loss, silence included."""
    magnitude = np.abs(np.random.default_rng(2).standard_normal((2, 64, 1024), dtype=np.float32))
    magnitude[:, 32:] = 0.0
    masks = engine(tensors, polyphase=True).masks(magnitude)
    assert np.abs(np.sum(masks, axis=0) - 1.0).max() < 1e-6
    assert np.abs(masks[0][:, 60:] - 0.5).max() < 1e-6


def test_all_threads_on_one_segment_compute_the_same(tensors) -> None:
    """A segment that is alone gets the answer that it gets among others."""
    magnitude = np.abs(np.random.default_rng(2).standard_normal((2, 128, 1024), dtype=np.float32))
    subject = engine(tensors, polyphase=True)
    among, alone = subject.masks(magnitude), subject.masks(magnitude, alone=True)
    assert len(among) == 2
    for expected, actual in zip(among, alone, strict=True):
        assert np.abs(expected - actual).max() < 1e-6


def test_a_checkpoint_without_a_tensor_is_an_error(tensors) -> None:
    """Weights of another network are refused by name instead of computing something else."""
    fewer = {name: value for name, value in tensors.items() if name != "conv2d_9/kernel"}
    with pytest.raises(WeightsCorrupt, match="conv2d_9/kernel"):
        build_graph(MODELS["2stems"], fewer, polyphase=True)
