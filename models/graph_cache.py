"""Caches graphs beside the weights they were built from."""

from __future__ import annotations

import hashlib
from pathlib import Path

import structlog

from stemline.models.catalogue import Model
from stemline.models.graph import GRAPH_VERSION, build_graph
from stemline.models.weights import sha256, write_atomically

log = structlog.get_logger(__name__)

#: The name holds the versions of the builder and of the weights, so that no other graph is read.
_NAME = "graph-{version}-{kind}-{weights}.onnx"


def cached_graph(model: Model, weights: Path, *, polyphase: bool) -> Path | None:
    """Return the graph of `model` that `write_graph` wrote into the folder `weights`.

    Returns:
        Its path; None where there is none, or where it does not match the checksum beside it.
    """
    path, checksum = _paths(model, weights, polyphase=polyphase)
    if path.is_file() and checksum.is_file() and checksum.read_text().strip() == sha256(path):
        return path
    return None


def write_graph(model: Model, weights: Path, *, polyphase: bool) -> Path | bytes:
    """Build the graph of `model` and write it into the folder of its verified checkpoint.

    Args:
        model: The model of the checkpoint.
        weights: Folder of the verified checkpoint.
        polyphase: See `build_graph`.

    Returns:
        Its path; the graph itself where the folder cannot be written.

    Raises:
        WeightsCorrupt: The checkpoint does not fit the network.
    """
    from stemline.models.checkpoint import read_tensors  # noqa: PLC0415  # not needed for a cached graph

    path, checksum = _paths(model, weights, polyphase=polyphase)
    content: bytes = build_graph(model, read_tensors(weights), polyphase=polyphase).SerializeToString()
    try:
        write_atomically(path, content)
        write_atomically(checksum, hashlib.sha256(content).hexdigest().encode())
    except OSError as error:
        log.warning("graph.not_cached", folder=str(weights), reason=error.strerror)
        return content
    return path


def _paths(model: Model, weights: Path, *, polyphase: bool) -> tuple[Path, Path]:
    """Return the paths of the graph and of its checksum."""
    kind = "polyphase" if polyphase else "plain"
    name = _NAME.format(version=GRAPH_VERSION, kind=kind, weights=(model.data.sha256 or "")[:16])
    path = weights / name
    return path, path.with_suffix(".sha256")
