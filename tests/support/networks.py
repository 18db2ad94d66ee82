"""Small networks of every kind as ONNX files with their cards, whose results are known."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

#: What every card has to say.
HEAD = 'licence = "MIT"\nsource = "made by the tests"\n'

WAVEFORM = """\
name = "{name}"
kind = "waveform"
stems = ["drums", "bass", "other", "vocals"]
{head}
{options}
[segment]
samples = {samples}
overlap = 0.25

[mix_less]
accompaniment = ["vocals"]

[tracks.AudioAndBackground]
voice = "vocals"
background = "accompaniment"

[tracks.MusicMode]
voice = "vocals"
background = "other"
bass = "bass"
drum = "drums"
"""

SPECTROGRAM = """\
name = "{name}"
kind = "{kind}"
stems = {stems}
{head}
{options}
[spectrum]
n_fft = {n_fft}
hop = {hop}
bins = {bins}
frames = {frames}
{spectrum}
[tracks.AudioAndBackground]
voice = "vocals"
background = "accompaniment"
"""


def scaling(path: Path, takes: Sequence[int], factors: Sequence[float], *, batch: int | str = 1) -> Path:
    """Write a network whose stems are the input times a factor each: (n, …) to (n, stems, …)."""
    shape = [1, len(factors), *[1] * len(takes)]
    factor = np.array(factors, np.float32).reshape(shape)
    axes = numpy_helper.from_array(np.array([1]), "axes")
    nodes = [
        helper.make_node("Unsqueeze", ["mix", "axes"], ["wide"]),
        helper.make_node("Mul", ["wide", "factor"], ["stems"]),
    ]
    return write(
        path, nodes, [axes, numpy_helper.from_array(factor, "factor")], takes, [len(factors), *takes], batch
    )


def squashing(path: Path, takes: Sequence[int], factors: Sequence[float]) -> Path:
    """Write a network that bends its input, so that its scale matters: tanh of the input, times factors."""
    factor = np.array(factors, np.float32).reshape([1, len(factors), *[1] * len(takes)])
    axes = numpy_helper.from_array(np.array([1]), "axes")
    nodes = [
        helper.make_node("Tanh", ["mix"], ["bent"]),
        helper.make_node("Unsqueeze", ["bent", "axes"], ["wide"]),
        helper.make_node("Mul", ["wide", "factor"], ["stems"]),
    ]
    return write(
        path, nodes, [axes, numpy_helper.from_array(factor, "factor")], takes, [len(factors), *takes], 1
    )


def write(
    path: Path,
    nodes: Sequence[Any],
    constants: Sequence[Any],
    takes: Sequence[int],
    gives: Sequence[int] | None,
    batch: int | str,
) -> Path:
    """Write a graph from `mix` to `stems`; without `gives`, the file states no shape of its output."""
    stated = None if gives is None else [batch, *gives]
    graph = helper.make_graph(
        list(nodes),
        "network",
        [helper.make_tensor_value_info("mix", TensorProto.FLOAT, [batch, *takes])],
        [helper.make_tensor_value_info("stems", TensorProto.FLOAT, stated)],
        list(constants),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    if gives is not None:
        onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


def card(path: Path, template: str, **values: object) -> Path:
    """Write a card."""
    given: Mapping[str, object] = {"head": HEAD, "options": "", "spectrum": ""} | values
    path.write_text(template.format(**given))
    return path


def endless(path: Path, takes: Sequence[int], factors: Sequence[float]) -> Path:
    """Write the network of `scaling` that counts before: for days in sound, not at all in silence."""
    count = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["goes on"]),
            helper.make_node("Add", ["counted", "one"], ["counted more"]),
        ],
        "count",
        [
            helper.make_tensor_value_info("number", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("counted", TensorProto.FLOAT, []),
        ],
        [
            helper.make_tensor_value_info("goes on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("counted more", TensorProto.FLOAT, []),
        ],
        [numpy_helper.from_array(np.array(1, np.float32), "one")],
    )
    nodes = [
        helper.make_node("Abs", ["mix"], ["size"]),
        helper.make_node("ReduceMax", ["size"], ["peak"], keepdims=0),
        helper.make_node("Mul", ["peak", "many"], ["times"]),
        helper.make_node("Cast", ["times"], ["trips"], to=TensorProto.INT64),
        helper.make_node("Loop", ["trips", "", "none"], ["total"], body=count),
        helper.make_node("Mul", ["total", "none"], ["nothing"]),
        helper.make_node("Add", ["mix", "nothing"], ["same"]),
        helper.make_node("Unsqueeze", ["same", "axes"], ["wide"]),
        helper.make_node("Mul", ["wide", "factor"], ["stems"]),
    ]
    factor = np.array(factors, np.float32).reshape([1, len(factors), *[1] * len(takes)])
    constants = [
        numpy_helper.from_array(np.array([1]), "axes"),
        numpy_helper.from_array(factor, "factor"),
        numpy_helper.from_array(np.array(0, np.float32), "none"),
        numpy_helper.from_array(np.array(1e14, np.float32), "many"),
    ]
    return write(path, nodes, constants, takes, [len(factors), *takes], 1)


def allocating(path: Path, takes: Sequence[int], factors: Sequence[float], megabytes: int) -> Path:
    """Write the network of `scaling` that takes so much memory for each segment: its input, many times."""
    times = megabytes * 1_000_000 // 2 // (4 * math.prod(takes))  # two such tensors are held at a time
    nodes = [
        helper.make_node("Unsqueeze", ["mix", "axes"], ["wide"]),
        helper.make_node("Expand", ["wide", "sizes"], ["many"]),
        helper.make_node("Neg", ["many"], ["turned"]),
        helper.make_node("ReduceMean", ["turned"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("Mul", ["mean", "factor"], ["stems"]),
    ]
    factor = -np.array(factors, np.float32).reshape([1, len(factors), *[1] * len(takes)])
    constants = [
        numpy_helper.from_array(np.array([1]), "axes"),
        numpy_helper.from_array(np.array([1, times, *takes]), "sizes"),
        numpy_helper.from_array(factor, "factor"),
    ]
    return write(path, nodes, constants, takes, [len(factors), *takes], 1)
