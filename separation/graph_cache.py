"""Built graphs beside the weights they were built from."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from separation.catalogue import Model

#: Graph files are named by this, so that another version of the builder never reads an old one.
_NAME = "graph-{version}-{checksum}.onnx"


def cached_graph(model: Model, weights: Path) -> Path:
    """Return the graph of `model` built from the checkpoint in `weights`, building it the first time.

    Where the folder is read-only the graph is built anew in a temporary folder by every process.

    Raises:
        WeightsCorrupt: The checkpoint does not fit the network.
    """
    from separation.graph import GRAPH_VERSION  # noqa: PLC0415

    checksum = (model.data.sha256 or "")[:16]
    path = weights / _NAME.format(version=GRAPH_VERSION, checksum=checksum)
    if path.is_file():
        return path
    content = _build(model, weights)
    if not os.access(weights, os.W_OK):
        folder = Path(tempfile.mkdtemp(prefix="stemline-graph-"))
        path = folder / path.name
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise
    return path


def _build(model: Model, weights: Path) -> bytes:
    from separation.checkpoint import read_tensors  # noqa: PLC0415
    from separation.graph import build_graph  # noqa: PLC0415

    content: bytes = build_graph(model, read_tensors(weights)).SerializeToString()
    return content
