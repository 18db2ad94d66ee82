"""Built graphs, kept beside the weights they were built from."""

from __future__ import annotations

import hashlib
from pathlib import Path

import structlog

from stemline.models.catalogue import Model
from stemline.models.graph import GRAPH_VERSION, build_graph
from stemline.models.weights import sha256, write_atomically

log = structlog.get_logger(__name__)

#: Graphs are named by what they were built from and by, so that no version reads another's.
_NAME = "graph-{version}-{kind}-{checksum}.onnx"


def cached_graph(model: Model, weights: Path, *, polyphase: bool) -> Path | None:
    """Return the graph of `model` that `write_graph` wrote into the folder `weights`, or None.

    The graph's own checksum lies beside it: one that was cut or changed is as good as none.
    """
    path, seal = _paths(model, weights, polyphase=polyphase)
    if path.is_file() and seal.is_file() and seal.read_text().strip() == sha256(path):
        return path
    return None


def write_graph(model: Model, weights: Path, *, polyphase: bool) -> Path | bytes:
    """Build the graph of `model` and keep it beside its checkpoint, which has been verified.

    Where the folder cannot be written, every process builds the graph in memory.

    Args:
        model: What the checkpoint holds.
        weights: Folder of the verified checkpoint.
        polyphase: See `stemline.models.graph.build_graph`.

    Raises:
        WeightsCorrupt: The checkpoint does not fit the network.
    """
    from stemline.models.checkpoint import read_tensors  # noqa: PLC0415  # what a kept graph needs not

    path, seal = _paths(model, weights, polyphase=polyphase)
    content: bytes = build_graph(model, read_tensors(weights), polyphase=polyphase).SerializeToString()
    try:
        write_atomically(path, content)
        write_atomically(seal, hashlib.sha256(content).hexdigest().encode())
    except OSError as error:
        log.warning("graph not cached", folder=str(weights), reason=error.strerror)
        return content
    return path


def _paths(model: Model, weights: Path, *, polyphase: bool) -> tuple[Path, Path]:
    """Return where the graph and its checksum belong."""
    kind = "polyphase" if polyphase else "plain"
    checksum = (model.data.sha256 or "")[:16]
    path = weights / _NAME.format(version=GRAPH_VERSION, kind=kind, checksum=checksum)
    return path, path.with_suffix(".sha256")
