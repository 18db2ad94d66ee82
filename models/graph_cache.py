"""Caches graphs beside the weights they were built from.

The checksum of a graph is elsewhere, in a folder of this user alone: whoever can write into the model
directory, which may be a shared volume, must not be able to replace both.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
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
        Its path; None where there is none, or where this user has no checksum that it matches.
    """
    try:
        path, checksum = _paths(model, weights, polyphase=polyphase)
        if not _is_private(checksum.parent) or checksum.read_text().strip() != sha256(path):
            return None
    except OSError:
        return None
    return path


def write_graph(model: Model, weights: Path, *, polyphase: bool) -> Path | bytes:
    """Build the graph of `model` and write it into the folder of its verified checkpoint.

    Args:
        model: The model of the checkpoint.
        weights: Folder of the verified checkpoint.
        polyphase: See `build_graph`.

    Returns:
        Its path; the graph itself where it, or its checksum, cannot be written.

    Raises:
        WeightsCorrupt: The checkpoint does not fit the network.
    """
    from stemline.models.checkpoint import read_tensors  # noqa: PLC0415  # not needed for a cached graph

    content: bytes = build_graph(model, read_tensors(weights), polyphase=polyphase).SerializeToString()
    try:
        path, checksum = _paths(model, weights, polyphase=polyphase)
        checksum.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not _is_private(checksum.parent):
            raise PermissionError(errno.EPERM, f"others may write to {checksum.parent}")
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
    place = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()
    return path, checksum_directory() / f"{place}.sha256"


def checksum_directory() -> Path:
    """Return the folder of checksums, in the state of this user.

    Raises:
        OSError: The user has no home directory.
    """
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    try:
        return Path(state).expanduser() / "stemline" / "graphs"
    except RuntimeError as error:
        raise FileNotFoundError(errno.ENOENT, "no home directory; set HOME or XDG_STATE_HOME") from error


def _is_private(folder: Path) -> bool:
    """Return whether a folder is this user's, and nobody else may write to it."""
    status = folder.lstat()
    shared = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not shared
