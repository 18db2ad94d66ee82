"""Builds one ONNX graph from samples to stems: Fourier transform, networks, masks and the way back.

For graphics processors, whose hosts then neither transform nor mask. ONNX Runtime's CUDA provider has no
kernel for the operators DFT and STFT, so the transform is made of matrix products. With a sample's place in
its frame n = 64 n1 + n2 and a bin k = k1 + 64 k2,

    X[k] = sum over n2 of exp(-2 pi i n2 k / 4096) * (sum over n1 of x[n] exp(-2 pi i n1 k1 / 64)),

which is one product for all frames and one for each k1; only the bins that the networks see are computed. The
inverse is the transpose of both. Everything computes what `separation.stft` does.

The input `samples` (n, span(512), 2) holds segments. There is an output of its shape for each instrument and
each extension above 11 kHz, named by `separation.samples_runner.output_name`. A run should ask for those
alone that it needs, with `only_execute_path_to_fetches`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from stemline.models.graph import add_masks, finished
from stemline.models.graph_layers import PlainLayers
from stemline.models.graph_nodes import GraphNodes
from stemline.separation import stft
from stemline.separation.extension import UPPER_BIN, Extension
from stemline.separation.network import CHANNELS, FRAME, HOP, NETWORK_BINS, SEGMENT_FRAMES
from stemline.separation.samples_runner import output_name

if TYPE_CHECKING:
    import onnx

    from stemline.models.catalogue import Model
    from stemline.models.layer_weights import Tensors

#: Points of each of the two stages of the transform.
_RADIX: Final = 64
#: Real and imaginary part.
_PARTS: Final = 2
#: Values of k2, which number the network's bins with k1.
_UPPER: Final = NETWORK_BINS // _RADIX
#: Values of n1 in the samples between two frames.
_ROWS: Final = HOP // _RADIX
_HOPS: Final = SEGMENT_FRAMES + stft.OVERLAP - 1
_SAMPLES: Final = stft.span(SEGMENT_FRAMES)


def build_samples_graph(model: Model, tensors: Tensors) -> onnx.ModelProto:
    """Return the graph of `model` with the weights `tensors`.

    Raises:
        WeightsCorrupt: A tensor is missing or has another shape than the network needs.
    """
    nodes = GraphNodes(tensors)
    transform = _Transform(nodes)
    transform.add_forward("samples", "magnitude")
    masks = add_masks(nodes, PlainLayers(nodes), model)
    outputs = []
    for instrument, mask in zip(model.instruments, masks, strict=True):
        for extension in Extension:
            outputs.append(output_name(instrument, extension))
            transform.add_inverse(mask, extension, outputs[-1])
    shape: list[str | int] = ["batch", _SAMPLES, CHANNELS]
    return finished(model, nodes, inputs=["samples"], outputs=outputs, shape=shape)


class _Transform:
    """Adds the transform and its inverse; within a frame, values lie by (n2, n1).

    Frames of all segments and channels are numbered together where products are computed.
    """

    def __init__(self, graph: GraphNodes) -> None:
        self._graph = graph
        first, second = _first_stage(), _second_stage()
        window = (0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(FRAME) / FRAME)).reshape(_RADIX, _RADIX).T
        # The real spectrum's bins but the first stand for their mirror images too.
        weights = np.full((_RADIX, _PARTS, _UPPER), 2.0)
        weights[0, :, 0] = 1.0
        back = second.transpose(0, 2, 1) * weights.reshape(_RADIX, -1, 1)
        self._first = self._constant("transform/first", first)
        self._second = self._constant("transform/second", second)
        self._second_back = self._constant("transform/second_back", back)
        self._first_back = self._constant("transform/first_back", first.T / FRAME)
        self._window = self._constant("transform/window", window)
        self._window_back = self._constant("transform/window_back", window * 2.0 / 3.0)
        self._means = {
            each: self._constant(f"transform/{each}", mean)
            for each in Extension
            if (mean := _mean_weights(each)) is not None
        }

    def add_forward(self, samples: str, magnitude: str) -> None:
        """Add the transform of samples (n, span(512), 2) and its absolute values (n, 2, 512, 1,024)."""
        graph = self._graph
        hops = graph.reshape(samples, [0, _HOPS, _ROWS, _RADIX, CHANNELS], "hops")
        hops = graph.node("Transpose", [hops], "hops/columns", perm=[0, 4, 1, 3, 2])
        quarters = [self._hops_from(hops, start) for start in range(stft.OVERLAP)]
        frames = graph.node("Concat", quarters, "frames", axis=4)
        self._frames = graph.node("Mul", [frames, self._window], "frames/windowed")
        flat = graph.reshape(self._frames, [-1, _RADIX, _RADIX], "frames/flat")
        half = graph.node("MatMul", [flat, self._first], "spectrum/first")
        half = self._turned(half, [-1, _RADIX], [_RADIX, -1, _PARTS * _RADIX], "spectrum/by_k1")
        whole = graph.node("MatMul", [half, self._second], "spectrum/second")
        shape = [-1, CHANNELS, SEGMENT_FRAMES, _PARTS, NETWORK_BINS]
        self._spectrum = self._turned(whole, [_RADIX, -1], shape, "spectrum")
        squares = graph.node("Mul", [self._spectrum, self._spectrum], "spectrum/squares")
        graph.add("Split", [squares], ["spectrum/real2", "spectrum/imaginary2"], axis=3)
        power = graph.node("Add", ["spectrum/real2", "spectrum/imaginary2"], "spectrum/power")
        absolute = graph.node("Sqrt", [power], "spectrum/absolute")
        graph.reshape(absolute, [-1, CHANNELS, SEGMENT_FRAMES, NETWORK_BINS], magnitude)

    def add_inverse(self, mask: str, extension: Extension, result: str) -> None:
        """Add the samples `result` of the mix's spectrum times a mask; see `stft.share`."""
        graph = self._graph
        factor, above = mask, None
        if extension in self._means:
            above = graph.node("MatMul", [mask, self._means[extension]], f"{result}/above")
            factor = graph.node("Sub", [mask, above], f"{result}/factor")
        factor = graph.reshape(factor, [0, CHANNELS, SEGMENT_FRAMES, 1, NETWORK_BINS], f"{result}/factors")
        masked = graph.node("Mul", [self._spectrum, factor], f"{result}/masked")
        whole = self._turned(masked, [-1, _RADIX], [_RADIX, -1, _PARTS * _UPPER], f"{result}/by_k1")
        half = graph.node("MatMul", [whole, self._second_back], f"{result}/second")
        half = self._turned(half, [_RADIX, -1], [-1, _RADIX, _PARTS * _RADIX], f"{result}/by_n2")
        frames = graph.node("MatMul", [half, self._first_back], f"{result}/first")
        shape = [-1, CHANNELS, SEGMENT_FRAMES, _RADIX, _RADIX]
        frames = graph.reshape(frames, shape, f"{result}/frames")
        if above is not None:
            # The share of the upper bins in all bins needs no spectrum: it is the mix under a gain.
            gain = graph.reshape(above, [0, CHANNELS, SEGMENT_FRAMES, 1, 1], f"{result}/gain")
            upper = graph.node("Mul", [self._frames, gain], f"{result}/upper")
            frames = graph.node("Add", [frames, upper], f"{result}/all")
        windowed = graph.node("Mul", [frames, self._window_back], f"{result}/windowed")
        self._add_overlapped(windowed, result)

    def _add_overlapped(self, frames: str, result: str) -> None:
        """Add up the overlapping frames (n, 2, 512, 64, 64)."""
        graph = self._graph
        quarters = [f"{result}/quarter{number}" for number in range(stft.OVERLAP)]
        graph.add("Split", [frames], quarters, axis=4)
        total = None
        for number, quarter in enumerate(quarters):
            pads = [0, 0, number, 0, 0, 0, 0, stft.OVERLAP - 1 - number, 0, 0]
            sizes = graph.constant(f"{quarter}/pads", np.array(pads, np.int64))
            hops = graph.node("Pad", [quarter, sizes], f"{quarter}/hops")
            total = graph.node("Add", [total, hops], f"{quarter}/total") if total else hops
        rows = graph.node("Transpose", [total or ""], f"{result}/rows", perm=[0, 2, 4, 3, 1])
        graph.reshape(rows, [0, _SAMPLES, CHANNELS], result)

    def _hops_from(self, hops: str, start: int) -> str:
        """Return a quarter of every frame: 512 neighbouring hops."""
        name = f"hops/from{start}"
        bounds = {"start": start, "stop": start + SEGMENT_FRAMES, "axis": 2}
        limits = [
            self._graph.constant(f"{name}/{key}", np.array([at], np.int64)) for key, at in bounds.items()
        ]
        return self._graph.node("Slice", [hops, *limits], name)

    def _turned(self, signal: str, rows: list[int], shape: list[int], result: str) -> str:
        """Add the exchange of the rows and columns of a matrix, and give the result another shape."""
        flat = self._graph.reshape(signal, rows, f"{result}/rows")
        return self._graph.reshape(
            self._graph.node("Transpose", [flat], f"{result}/turned", perm=[1, 0]), shape, result
        )

    def _constant(self, name: str, values: NDArray[np.float64]) -> str:
        return self._graph.constant(name, values.astype(np.float32))


def _first_stage() -> NDArray[np.float64]:
    """Return the factors (n1, part x k1)."""
    angles = 2.0 * np.pi * np.outer(np.arange(_RADIX), np.arange(_RADIX)) / _RADIX
    return np.concatenate([np.cos(angles), -np.sin(angles)], axis=1)


def _second_stage() -> NDArray[np.float64]:
    """Return the factors (k1, n2 x part, part x k2)."""
    bins = np.arange(_RADIX)[:, None] + _RADIX * np.arange(_UPPER)
    angles = 2.0 * np.pi * np.arange(_RADIX)[None, :, None] * bins[:, None, :] / FRAME
    cosine, sine = np.cos(angles), np.sin(angles)  # (k1, n2, k2)
    factors = np.empty((_RADIX, _RADIX, _PARTS, _PARTS, _UPPER))
    factors[:, :, 0, 0], factors[:, :, 0, 1] = cosine, -sine
    factors[:, :, 1, 0], factors[:, :, 1, 1] = sine, cosine
    return factors.reshape(_RADIX, _RADIX * _PARTS, _PARTS * _UPPER)


def _mean_weights(extension: Extension) -> NDArray[np.float64] | None:
    """Return by what the shares of the bins (1,024, 1) are multiplied for their sum to be that above them."""
    if extension is Extension.ZEROS:
        return None
    first = UPPER_BIN if extension is Extension.UPPER else 0
    weights = np.zeros((NETWORK_BINS, 1))
    weights[first:] = 1.0 / (NETWORK_BINS - first)
    return weights
