"""Built graphs, kept beside the weights they were built from."""

from __future__ import annotations

import hashlib
from pathlib import Path

import structlog

from separation.catalogue import Model
from separation.weights import sha256, write_atomically

log = structlog.get_logger(__name__)

#: Graphs are named by what they were built from and by, so that no version reads another's.
_NAME = "graph-{version}-{kind}-{checksum}.onnx"


def cached_graph(model: Model, weights: Path, *, phases: bool) -> Path | bytes:
    """Return the graph of `model` built from the checkpoint in `weights`, building it the first time.

    The graph's own checksum lies beside it, so that one that was cut or changed is built anew. Where the
    folder cannot be written, every process builds the graph in memory.

    Args:
        model: What the checkpoint holds.
        weights: Folder of the verified checkpoint.
        phases: See `separation.graph.build_graph`.

    Raises:
        WeightsCorrupt: The checkpoint does not fit the network.
    """
    from separation.graph import GRAPH_VERSION  # noqa: PLC0415

    kind = "phases" if phases else "plain"
    checksum = (model.data.sha256 or "")[:16]
    path = weights / _NAME.format(version=GRAPH_VERSION, kind=kind, checksum=checksum)
    seal = path.with_suffix(".sha256")
    if path.is_file() and seal.is_file() and seal.read_text().strip() == sha256(path):
        return path
    content = _build(model, weights, phases=phases)
    try:
        write_atomically(path, content)
        write_atomically(seal, hashlib.sha256(content).hexdigest().encode())
    except OSError as error:
        log.warning("graph not cached", folder=str(weights), reason=error.strerror)
        return content
    return path


def _build(model: Model, weights: Path, *, phases: bool) -> bytes:
    from separation.checkpoint import read_tensors  # noqa: PLC0415  # what a cached graph needs not
    from separation.graph import build_graph  # noqa: PLC0415

    content: bytes = build_graph(model, read_tensors(weights), phases=phases).SerializeToString()
    return content
