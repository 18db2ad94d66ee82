"""Stemline beside sherpa-onnx, which runs the same networks on ONNX Runtime, in one run: time and memory.

    python -m benchmarks.sherpa [--seconds 10 240] [--runs 3] [--kernels avx2]

`make bench-sherpa [KERNELS=avx2]` runs it. Both read WAV and write WAV, on two
threads; runs alternate. sherpa-onnx gets the weights in the form that it expects: one graph for each
instrument, here made of Stemline's own.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import wave
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from benchmarks import kernels
from benchmarks.report import Report, short
from benchmarks.separation import STEMLINE, Run, run
from stemline.models.catalogue import MODELS
from stemline.models.checkpoint import read_tensors
from stemline.models.download import pull
from stemline.models.graph import build_graph
from stemline.models.weights import WeightStore
from tests.golden import song

REPOSITORY = Path(__file__).parent.parent
PYTHON = REPOSITORY / ".venv-sherpa" / "bin" / "python"
INSTRUMENTS = ("vocals", "accompaniment")
Result = TypeVar("Result")
FIELDS = (("wall_s", "wall", "s"), ("cpu_s", "processor time", "s"), ("peak_mib", "peak memory", "MiB"))


def export(folder: Path) -> list[Path]:
    """Write a graph for each instrument: magnitudes (2, splits, 512, 1024) in, estimates of the shape out."""
    weights = pull(WeightStore(), MODELS["2stems"])
    whole = build_graph(MODELS["2stems"], read_tensors(weights), polyphase=False)
    paths = []
    for instrument in INSTRUMENTS:
        inner = f"{instrument}/last/convolved/exp/plus1/estimate"
        part = _up_to(inner, whole.graph)
        needed = {name for node in part for name in node.input}
        nodes = [
            helper.make_node("Transpose", ["x"], ["magnitude"], perm=[1, 0, 2, 3]),
            *part,
            helper.make_node("Transpose", [inner], ["y"], perm=[1, 0, 2, 3]),
        ]
        shape: list[str | int | None] = [2, "splits", 512, 1024]
        ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name in ("x", "y")]
        constants = [each for each in whole.graph.initializer if each.name in needed]
        graph = helper.make_graph(nodes, instrument, ends[:1], ends[1:], constants)
        model = helper.make_model(graph, opset_imports=whole.opset_import)
        model.ir_version = whole.ir_version
        properties = {"model_type": "spleeter", "sample_rate": "44100", "version": "1", "stems": "2"}
        helper.set_model_props(model, properties)
        paths.append(folder / f"{instrument}.onnx")
        onnx.save(model, str(paths[-1]))
    return paths


def _up_to(output: str, graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Return the nodes that a value depends on, in their order."""
    needed = {output}
    nodes = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            nodes.append(node)
    return nodes[::-1]


def write_song(path: Path, seconds: float) -> Path:
    """Write a song of so many seconds as WAV; half a minute is repeated."""
    part = song.mix(song.stems(min(seconds, 30.0)))
    count = round(seconds * 44_100)
    samples = np.resize(part, (count, part.shape[1]))
    with wave.open(str(path), "wb") as file:
        file.setparams((2, 2, 44_100, 0, "NONE", ""))
        file.writeframes((np.clip(samples, -1, 32767 / 32768) * 32768).astype("<i2").tobytes())
    return path


def read(path: Path) -> NDArray[np.float64]:
    """Return the samples of a WAV file."""
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2) / 32768.0


def likeness(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the level of a sound above the difference to another one, dB, over what both have."""
    length = min(len(one), len(other))
    rest = one[:length] - other[:length]
    return float(10 * np.log10((one[:length] ** 2).sum() / max(1e-12, (rest**2).sum())))


def apart(function: Callable[..., Result], *arguments: object) -> Result:
    """Call a function in a process of its own: the peak memory of a child begins with its parent's."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result(600)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, nargs="+", default=[10.0, 240.0], help="lengths of the song")
    parser.add_argument("--runs", type=int, default=3)
    kernels.add_option(parser)
    options = parser.parse_args()
    if not PYTHON.exists():
        raise SystemExit("sherpa-onnx is not installed: `make bench-sherpa` installs it.")
    os.environ["PYTHONPATH"] = str(REPOSITORY)
    sources = ["benchmarks/sherpa.py", "benchmarks/sherpa_run.py", "benchmarks/kernels.py"]
    title = "Stemline beside sherpa-onnx 2.0.1: wav to wav, 2 stems, two threads"
    with kernels.used(options.kernels, Path(sys.prefix), PYTHON.parent.parent) as suffix:
        report = Report(f"sherpa{suffix}", title, sources)
        measure(report, options)
        report.write()


def measure(report: Report, options: argparse.Namespace) -> None:
    """Compare both programs on songs of each length."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = [str(path) for path in apart(export, folder)]
        for seconds in options.seconds:
            found = compare(folder, models, seconds, options.runs)
            rows += add(report, seconds, found)
            missing, alike = apart(difference, folder, seconds)
            report.add(f"s{seconds:.0f}.missing", [missing], unit="samples", label="fewer from sherpa-onnx")
            report.add(f"s{seconds:.0f}.alike", alike, unit="dB", label="stem above the difference of both")
    report.table("rows", ("Song", "", "sherpa-onnx", "Stemline", "times"), rows)


def compare(folder: Path, models: list[str], seconds: float, runs: int) -> list[tuple[Run, Run]]:
    """Run both programs in turns on a song of so many seconds; return Stemline's run and the other's."""
    path = apart(write_song, folder / f"song{seconds:.0f}.wav", seconds)
    # Zeros above 11 kHz, as there.
    ours = [*STEMLINE, str(path), "-o", str(folder), "--extension", "zeros"]
    theirs = [str(PYTHON), "-m", "benchmarks.sherpa_run", *models, str(path), str(folder)]
    run(ours)  # builds the cached graph, warms the disk
    return [(run(ours), run(theirs)) for _ in range(runs)]


def add(report: Report, seconds: float, found: list[tuple[Run, Run]]) -> list[tuple[str, ...]]:
    """Put the values into the report; return the rows of its table."""
    rows: list[tuple[str, ...]] = []
    for field, label, unit in FIELDS:
        mine, others = ([getattr(each[place], field) for each in found] for place in (0, 1))
        ratios = [other / one for one, other in zip(mine, others, strict=True)]
        key, song_name = f"s{seconds:.0f}.{field}", f"{seconds:.0f} s"
        report.add(f"{key}.stemline", mine, unit=unit, label=f"{song_name}, Stemline: {label}")
        report.add(f"{key}.sherpa", others, unit=unit, label=f"{song_name}, sherpa-onnx: {label}")
        report.add(f"{key}.ratio", ratios, unit="times", label=f"{song_name}: {label}, as a ratio")
        both = (f"{short(statistics.median(values))} {unit}" for values in (others, mine))
        rows.append((song_name, label, *both, f"{statistics.median(ratios):.1f}x"))
    return rows


def difference(folder: Path, seconds: float) -> tuple[float, list[float]]:
    """Return how many samples are missing there, and how alike each stem is, dB."""
    name = f"song{seconds:.0f}"
    pairs = [(read(folder / f"{name}-{each}.wav"), read(folder / f"{each}.wav")) for each in INSTRUMENTS]
    return float(len(pairs[0][0]) - len(pairs[0][1])), [likeness(one, other) for one, other in pairs]


if __name__ == "__main__":
    main()
