"""How fast the network alone is, against the machine's own matrix product, on one core.

    OPENBLAS_NUM_THREADS=1 python -m benchmarks.network

Prints one JSON object: the peak of a square single-precision product in GFLOP/s, and of models with 2 and 4
stems (seeded weights) milliseconds and GFLOP/s per segment of 11.9 s, as Stemline runs them on CPUs. GFLOP/s
count the operations of the layers as they are defined; the compiled ones need fewer. CPU time is measured,
so that other programs disturb little.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from onnx import TensorProto, helper

from stemline.models.catalogue import MODELS, Model
from stemline.models.graph import build_graph
from stemline.models.native_weights import native_weights
from stemline.separation.engine import Engine
from stemline.separation.native.library import load
from stemline.separation.native.stft import NativeSTFT
from stemline.separation.native.unet import UNets
from stemline.separation.native_engine import NativeEngine
from stemline.separation.onnx_engine import OnnxEngine
from stemline.separation.onnx_runtime import onnx_runtime
from tests.golden import seeded

#: Multiplications and additions of one instrument's network for 512 x 1,024 bins, counted from its shapes.
_FILTERS = (2, 16, 32, 64, 128, 256, 512)
_PIXELS = 512 * 1024


def gflop() -> float:
    total = 0.0
    for layer in range(6):
        total += 2 * 25 * _FILTERS[layer] * _FILTERS[layer + 1] * _PIXELS / 4 ** (layer + 1)
    outputs = (256, 128, 64, 32, 16, 1)
    inputs = (512, 512, 256, 128, 64, 32)
    for layer in range(6):
        total += 2 * 25 * inputs[layer] * outputs[layer] * _PIXELS / 4 ** (6 - layer)
    return (total + 2 * 16 * 2 * _PIXELS) / 1e9


def best(work: Callable[[], object], runs: int) -> float:
    times = []
    for _ in range(runs):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)


def onnx_product(square: np.ndarray) -> Callable[[], object]:
    """The same product by ONNX Runtime: its kernels use wider registers than some builds of OpenBLAS."""
    node = helper.make_node("MatMul", ["a", "a"], ["b"])
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, square.shape) for name in "ab"]
    proto = helper.make_model(
        helper.make_graph([node], "product", value[:1], value[1:]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    options = onnx_runtime().SessionOptions()
    options.intra_op_num_threads = 1
    session = onnx_runtime().InferenceSession(proto.SerializeToString(), options)
    return lambda: session.run(None, {"a": square})


def build(model: Model, **_: bool) -> bytes:
    """Return the graph with the transposed convolutions split, whatever the device."""
    graph = build_graph(model, seeded.tensors(len(model.instruments)), polyphase=True)
    return bytes(graph.SerializeToString())


def engine_of(model: Model, threads: int = 1) -> Engine:
    """Return the engine that is the default on CPUs, with seeded weights."""
    if (library := load().library) is None:
        return OnnxEngine(model, partial(build, model), device="cpu", threads=threads)
    weights = native_weights(model, seeded.tensors(len(model.instruments)))
    networks = UNets(library, weights, is_softmax=False, threads=threads)
    return NativeEngine(model, networks, NativeSTFT(library), at_once=threads)


def main() -> None:
    rng = np.random.default_rng(0)
    square = rng.random((2048, 2048), dtype=np.float32)
    fastest = min(best(lambda: square @ square, 12), best(onnx_product(square), 12))
    found: dict[str, float] = {"sgemm_gflops": 2 * 2048**3 / fastest / 1e9}
    magnitude = np.abs(rng.standard_normal((2, 512, 1024), dtype=np.float32))
    for name in ("2stems", "4stems"):
        model = MODELS[name]
        seconds = best(partial(engine_of(model).masks, magnitude), 10)
        found[f"{name}_ms"] = seconds * 1000
        found[f"{name}_gflops"] = gflop() * len(model.instruments) / seconds
    print(json.dumps(found))


if __name__ == "__main__":
    main()
