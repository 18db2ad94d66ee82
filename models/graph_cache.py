"""Caches graphs beside the weights they were built from.

The checksum of a graph is elsewhere, as all that is known of files; see `checksums`.
"""

from __future__ import annotations

import errno
import hashlib
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from stemline.models.catalogue import Model
from stemline.models.checksums import checksum_directory, is_private, place
from stemline.models.graph import GRAPH_VERSION, build_graph
from stemline.models.weights import sha256, write_atomically
from stemline.separation.logs import get_logger
from stemline.separation.optimised import OptimisedGraph, processor_type, write_optimised
from stemline.separation.sessions import Graph

log = get_logger(__name__)

#: The name holds the versions of the builder and of the weights, so that no other graph is read.
_NAME = "graph-{version}-{kind}-{weights}.onnx"
#: Smaller constants stay in the graph, bytes.
_SMALL = 1024
#: Where a constant begins in its file, bytes: ONNX Runtime maps whole pages.
_ALIGNMENT = 4096


class _Files(NamedTuple):
    """The files of a cached graph."""

    graph: Path
    weights: Path
    """Its large constants. ONNX Runtime maps them; those of a graph's own file it would hold twice."""
    checksums: Path
    """SHA-256 of both, in a folder of this user."""


def graph_for(
    model: Model,
    folder: Path,
    weights: Callable[[], Path],
    *,
    polyphase: bool,
    samples: bool = False,
    digest: Callable[[Path], str] = sha256,
) -> Graph:
    """Return the graph of `model`, from the cache or built anew.

    Args:
        model: The model.
        folder: Where its weights are.
        weights: Verifies them and returns their folder.
        polyphase: See `build_graph`; a cached one is optimised for this type of processor too.
        samples: Whether the graph is from samples to stems, see `build_samples_graph`, and not polyphase.
        digest: Returns the SHA-256 of a file.

    Raises:
        WeightsCorrupt: The checkpoint does not fit the network.
    """
    found: Path | bytes | None = cached_graph(
        model, folder, polyphase=polyphase, samples=samples, digest=digest
    )
    if found is None:
        found = write_graph(model, weights(), polyphase=polyphase, samples=samples)
    is_optimised = _processor(polyphase=polyphase) is not None
    return OptimisedGraph(found) if isinstance(found, Path) and is_optimised else found


def cached_graph(
    model: Model,
    weights: Path,
    *,
    polyphase: bool,
    samples: bool = False,
    digest: Callable[[Path], str] = sha256,
) -> Path | None:
    """Return the graph of `model` that `write_graph` wrote into the folder `weights`.

    Args:
        model: The model of the checkpoint.
        weights: Folder of the checkpoint.
        polyphase: See `build_graph`.
        samples: See `graph_for`.
        digest: Returns the SHA-256 of a file.

    Returns:
        Its path; None where there is none, or where this user has no checksums that it matches.
    """
    try:
        files = _files(model, weights, polyphase=polyphase, samples=samples)
        if not is_private(files.checksums.parent):
            return None
        if files.checksums.read_text().split() != [digest(files.graph), digest(files.weights)]:
            return None
    except OSError:
        return None
    return files.graph


def write_graph(model: Model, weights: Path, *, polyphase: bool, samples: bool = False) -> Path | bytes:
    """Build the graph of `model` and write it into the folder of its verified checkpoint.

    Args:
        model: The model of the checkpoint.
        weights: Folder of the verified checkpoint.
        polyphase: See `build_graph`.
        samples: See `graph_for`.

    Returns:
        Its path; the graph itself where it, or its checksums, cannot be written.

    Raises:
        WeightsCorrupt: The checkpoint does not fit the network.
    """
    from stemline.models.checkpoint import read_tensors  # noqa: PLC0415  # not needed for a cached graph
    from stemline.models.samples_graph import build_samples_graph  # noqa: PLC0415  # likewise

    tensors = read_tensors(weights)
    if samples:
        graph = build_samples_graph(model, tensors)
    else:
        graph = build_graph(model, tensors, polyphase=polyphase)
    whole: bytes = graph.SerializeToString()
    try:
        files = _files(model, weights, polyphase=polyphase, samples=samples)
        files.checksums.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not is_private(files.checksums.parent):
            raise PermissionError(errno.EPERM, f"others may write to {files.checksums.parent}")
        # In the folder of this user: nobody else can change the files before their checksums are known.
        with tempfile.TemporaryDirectory(dir=files.checksums.parent) as folder:
            written = Path(folder) / files.graph.name
            if _processor(polyphase=polyphase) is not None:
                write_optimised(whole, written)
            else:
                _write_plain(graph, written)
            small, large = written.read_bytes(), written.with_suffix(".weights").read_bytes()
        write_atomically(files.weights, large)
        write_atomically(files.graph, small)
        checksums = (hashlib.sha256(each).hexdigest() for each in (small, large))
        write_atomically(files.checksums, " ".join(checksums).encode())
        _delete_older(weights)
    except OSError as error:
        log.warning("graph.not_cached", folder=str(weights), reason=error.strerror or str(error))
        return whole
    return files.graph


def _write_plain(graph: Any, path: Path) -> None:
    """Write a graph as it is, and its large constants beside it, with the suffix `.weights`."""
    constants = path.with_suffix(".weights")
    constants.write_bytes(_take_large_constants(graph, constants.name))
    path.write_bytes(graph.SerializeToString())


def _take_large_constants(model: Any, name: str) -> bytes:
    """Take the large constants out of a graph, and let it refer to the file `name` with what is returned."""
    from onnx.external_data_helper import set_external_data  # noqa: PLC0415  # slow to import

    content = bytearray()
    for tensor in model.graph.initializer:
        if len(tensor.raw_data) < _SMALL:
            continue
        content.extend(bytes(-len(content) % _ALIGNMENT))
        set_external_data(tensor, name, offset=len(content), length=len(tensor.raw_data))
        content.extend(tensor.raw_data)
        tensor.ClearField("raw_data")
    return bytes(content)


def _delete_older(folder: Path) -> None:
    """Delete the graphs that earlier releases wrote; a program that reads one keeps it until it ends."""
    for path in folder.glob("graph-*-*"):
        version = path.name.split("-")[1]
        if version.isdecimal() and int(version) < GRAPH_VERSION:
            with suppress(OSError):  # another user's, or deleted by another program
                path.unlink()


def _processor(*, polyphase: bool) -> str | None:
    """Return the type of processor that a cached graph is optimised for; None for one that is not."""
    return processor_type() if polyphase else None


def _files(model: Model, weights: Path, *, polyphase: bool, samples: bool) -> _Files:
    """Return the paths of a graph's files."""
    kind = "polyphase" if polyphase else "samples" if samples else "plain"
    if processor := _processor(polyphase=polyphase):
        kind = f"cpu-{processor}"
    name = _NAME.format(version=GRAPH_VERSION, kind=kind, weights=(model.data.sha256 or "")[:16])
    path = weights / name
    return _Files(path, path.with_suffix(".weights"), checksum_directory() / f"{place(path)}.sha256")
