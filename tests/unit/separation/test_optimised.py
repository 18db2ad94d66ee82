"""Graphs that ONNX Runtime has optimised for one type of processor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stemline.models.catalogue import MODELS
from stemline.models.graph import build_graph
from stemline.separation import optimised
from stemline.separation.onnx_engine import OnnxEngine
from stemline.separation.optimised import OptimisedGraph, processor_type, write_optimised
from stemline.separation.sessions import Graph
from tests.golden import seeded


@pytest.fixture(scope="module")
def graph() -> bytes:
    """A graph as `models` builds it, with weights from a seed."""
    content: bytes = build_graph(MODELS["2stems"], seeded.tensors(2), polyphase=True).SerializeToString()
    return content


def engine(graph: Graph, threads: int = 2) -> OnnxEngine:
    return OnnxEngine(MODELS["2stems"], lambda **_: graph, device="cpu", threads=threads)


@pytest.mark.parametrize("frames", [64, 512])
def test_an_optimised_graph_computes_the_same(graph: bytes, tmp_path: Path, frames: int) -> None:
    """The masks are equal, for windows of any length."""
    write_optimised(graph, tmp_path / "graph.onnx")
    magnitude = np.abs(np.random.default_rng(2).standard_normal((2, frames, 1024), dtype=np.float32))
    expected = engine(graph).masks(magnitude)
    actual = engine(OptimisedGraph(tmp_path / "graph.onnx")).masks(magnitude)
    assert 2 == len(expected) == len(actual)
    assert all(np.array_equal(*pair) for pair in zip(expected, actual, strict=True))


def test_its_constants_are_beside_it(graph: bytes, tmp_path: Path) -> None:
    """They are mapped from a file of their own, and what remains of the graph is small."""
    write_optimised(graph, tmp_path / "graph.onnx")
    assert {"graph.onnx", "graph.weights"} == {each.name for each in tmp_path.iterdir()}
    assert (tmp_path / "graph.onnx").stat().st_size < 200_000
    assert (tmp_path / "graph.weights").stat().st_size > 70_000_000


def test_a_folder_that_cannot_be_written_to_is_an_error_of_the_system(graph: bytes, tmp_path: Path) -> None:
    """It is one that the cache of graphs expects."""
    with pytest.raises(OSError, match=r"cannot write .*none/graph\.onnx"):
        write_optimised(graph, tmp_path / "none" / "graph.onnx")


def test_each_type_of_processor_has_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other features, or another ONNX Runtime, have another name; the clock has none; unknown ones none."""
    names = []
    for number, text in enumerate(
        (
            "processor: 0\ncpu MHz: 2000\nflags\t: fpu avx2\n",
            "processor: 0\ncpu MHz: 3000\nflags\t: fpu avx2\n",
            "processor: 0\nflags\t: fpu avx2 avx512f\n",
            "processor: 0\nFeatures\t: fp asimd\n",
            "processor: 0\n",
        )
    ):
        (tmp_path / str(number)).write_text(text)
        names.append(processor_type(tmp_path / str(number)))
    assert names[0] == names[1]
    assert 3 == len({*names[:4]})
    assert names[4] is None is processor_type(tmp_path / "none")
    monkeypatch.setattr(optimised, "onnx_runtime", lambda: type("Library", (), {"__version__": "0"}))
    (tmp_path / "other").write_text("processor: 0\nflags\t: fpu avx2\n")
    assert names[0] != processor_type(tmp_path / "other")
