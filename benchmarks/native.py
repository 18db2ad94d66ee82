"""Spleeter's networks and transforms in compiled code, beside ONNX Runtime and numpy: `make bench-native`.

Least processor times of alternating runs on a segment of 11.9 s, on one core, and errors of the masks against
the same network in double precision. The weights of two stems are the real ones, those of four are made of a
seed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from ctypes import CDLL
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.network import best, gflop, onnx_product
from benchmarks.report import Report
from stemline.models.catalogue import MODELS, Model
from stemline.models.checkpoint import read_tensors
from stemline.models.graph import build_graph
from stemline.models.native_weights import native_weights
from stemline.models.weights import WeightStore
from stemline.separation import stft
from stemline.separation.extension import Extension
from stemline.separation.native.library import SETS, find
from stemline.separation.native.stft import NativeSTFT
from stemline.separation.native.unet import UNets, Weights
from stemline.separation.network import MASK_EPSILON, NETWORK_BINS
from stemline.separation.onnx_engine import OnnxEngine
from tests.golden import seeded, song

if TYPE_CHECKING:
    from stemline.models.layer_weights import Tensors

Array = NDArray[np.float32]
Masks = Callable[[], list[Array]]


def segment() -> Array:
    """Return a segment, (2, span(512)), of the song that is made by code."""
    return np.ascontiguousarray(song.mix(song.stems(13.0))[: stft.span(512)].T)


def spectrogram() -> Array:
    """Return the magnitudes of the segment."""
    return np.ascontiguousarray(stft.magnitude(stft.forward(segment(), NETWORK_BINS)))


def libraries() -> Iterator[tuple[str, CDLL]]:
    """Yield the libraries that are faster than the base one, of those that this processor can run."""
    for name in SETS[1 : SETS.index(find("auto").instructions) + 1]:
        library = find(name).library
        assert library is not None
        yield name, library


def transforms() -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
    """Return what computes the magnitudes of the segment, and a stem from a mask of its own shape."""
    samples = segment()
    moments = np.asfortranarray(samples)
    spectrum = stft.forward(samples, NETWORK_BINS)
    mask = np.random.default_rng(0).random(spectrum.shape, dtype=np.float32)
    above = Extension.AVERAGE.share(mask)
    found: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "numpy": (
            lambda: stft.magnitude(stft.forward(samples, NETWORK_BINS)),
            lambda: stft.share(samples, spectrum, mask, above),
        )
    }
    for name, library in libraries():
        native = NativeSTFT(library)
        found[f"compiled, {name}"] = (
            partial(native.forward, moments, mask.shape[1]),
            partial(native.share, moments, spectrum, mask, above),
        )
    return found


def forms(model: Model, tensors: Tensors, magnitude: Array) -> dict[str, Masks]:
    """Return what computes the masks: ONNX Runtime, and each library that this processor can run."""
    graph = build_graph(model, tensors, polyphase=True).SerializeToString()
    engine = OnnxEngine(model, lambda **_: graph, device="cpu", threads=1)
    found: dict[str, Masks] = {"ONNX Runtime": lambda: list(engine.masks(magnitude))}
    for name, library in libraries():
        networks = UNets(library, native_weights(model, tensors), is_softmax=False)
        found[f"compiled, {name}"] = partial(networks.masks, magnitude)
    return found


def exact(weights: Weights, magnitude: Array) -> NDArray[np.float64]:
    """Return the logits of a network with leaky ReLU and ReLU, computed in double precision."""
    values: Any = magnitude.transpose(1, 2, 0).astype(np.float64)
    skips = []
    for layer in weights.down:
        height, width = values.shape[0] // 2, values.shape[1] // 2
        padded = np.pad(values, ((1, 3), (1, 3), (0, 0)))
        values = layer.bias + sum(
            padded[y : y + 2 * height : 2, x : x + 2 * width : 2] @ layer.kernel[y, x].astype(np.float64)
            for y in range(5)
            for x in range(5)
        )
        skips.append(values)
        values = values * layer.scale + layer.shift
        values = np.maximum(values, 0.2 * values)
    values = skips.pop()
    for number, layer in enumerate(weights.up):
        seen = np.concatenate([skips.pop(), values], axis=-1) if number else values
        height, width = 2 * seen.shape[0], 2 * seen.shape[1]
        whole = np.zeros((height + 4, width + 4, layer.kernel.shape[2]))
        for y in range(5):
            for x in range(5):
                whole[y : y + height : 2, x : x + width : 2] += seen @ layer.kernel[y, x].T.astype(np.float64)
        values = np.maximum(whole[1 : height + 1, 1 : width + 1] + layer.bias, 0) * layer.scale + layer.shift
    padded = np.pad(values, ((3, 3), (3, 3), (0, 0)))
    height, width = magnitude.shape[1:]
    logits = weights.bias + sum(
        padded[2 * y : 2 * y + height, 2 * x : 2 * x + width] @ weights.kernel[y, x].astype(np.float64)
        for y in range(4)
        for x in range(4)
    )
    return np.asarray(logits.transpose(2, 0, 1))


def exact_share(weights: list[Weights], magnitude: Array) -> NDArray[np.float64]:
    """Return the first instrument's mask, computed in double precision."""
    powers = [
        (magnitude / (1 + np.exp(-exact(each, magnitude)))) ** 2 + MASK_EPSILON / len(weights)
        for each in weights
    ]
    return np.asarray(powers[0] / sum(powers))


def report_transforms(report: Report, runs: int) -> None:
    """Add the times of the transforms."""
    both = transforms()
    times: dict[str, list[list[float]]] = {form: [[], []] for form in both}
    for _ in range(5 * runs):
        for form, calls in both.items():
            for call, values in zip(calls, times[form], strict=True):
                started = time.process_time()
                call()
                values.append(1000 * (time.process_time() - started))
    rows = []
    for form, (forward, share) in times.items():
        key = form.removeprefix("compiled, ")
        report.add(f"transform.{key}_ms", forward, unit="ms", label=f"transform, {form}")
        report.add(f"inverse.{key}_ms", share, unit="ms", label=f"one stem, {form}")
        rows.append((form, f"{min(forward):.1f} ms", f"{min(share):.1f} ms"))
    report.table("transforms", ("", "samples to magnitudes", "mask to one stem"), rows)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    asked = parser.parse_args()
    report = Report(
        "native",
        "Spleeter's networks and transforms in compiled code: a segment on one core",
        [
            "benchmarks/native.py",
            *(f"separation/native/{name}" for name in ("strided.h", "winograd.h", "stft.c")),
        ],
    )
    magnitude = spectrogram()
    square = np.random.default_rng(0).random((2048, 2048), dtype=np.float32)
    product = 2 * 2048**3 / min(best(lambda: square @ square, 8), best(onnx_product(square), 8)) / 1e9
    report.add("product", [product], unit="GFLOP/s", label="best product of matrices of 2,048 rows")
    real = read_tensors(WeightStore().verified(MODELS["2stems"]))
    times: dict[str, dict[str, float]] = {}
    for name, tensors in (("2stems", real), ("4stems", seeded.tensors(4))):
        model = MODELS[name]
        found = forms(model, tensors, magnitude)
        if name == "2stems":
            share = exact_share(native_weights(model, tensors), magnitude)
            errors = {form: np.abs(masks()[0] - share) for form, masks in found.items()}
        values: dict[str, list[float]] = {form: [] for form in found}
        for _ in range(asked.runs):
            for form, masks in found.items():
                started = time.process_time()
                masks()
                values[form].append(1000 * (time.process_time() - started))
        times[name] = {form: min(each) for form, each in values.items()}
        for form, each in values.items():
            key = form.replace("compiled, ", "").replace("ONNX Runtime", "onnx")
            report.add(f"{name}.{key}_ms", each, unit="ms", label=f"{name}, {form}")
    rows = []
    for form, milliseconds in times["2stems"].items():
        rate = gflop() * 2 / milliseconds * 1000 / product
        rows.append(
            (
                form,
                f"{milliseconds:.0f} ms",
                f"{times['4stems'][form]:.0f} ms",
                f"{rate:.0%}",
                f"{errors[form].max():.1e}",
                f"{np.sqrt((errors[form] ** 2).mean()):.1e}",
            )
        )
    head = (
        "",
        "2 stems",
        "4 stems",
        "2 stems, of the matrix product's rate",
        "largest error of a mask",
        "root mean square of errors",
    )
    report.table("forms", head, rows)
    report_transforms(report, asked.runs)
    report.write()


if __name__ == "__main__":
    main()
