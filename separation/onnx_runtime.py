"""ONNX Runtime with its telemetry switched off; no other module imports the library."""

from __future__ import annotations

import importlib.util
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

_CUDA_LIBRARY = "capi/libonnxruntime_providers_cuda.so"


@cache
def onnx_runtime() -> Any:
    """Import and return the library.

    By its own default it writes a device id, the path of the program and what is known of the machine below
    `~/.cache/Microsoft`, and sends that to Microsoft. It reads the variable once, while it is loaded; a value
    that the user has set stays.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime  # noqa: PLC0415 - the variable has to be set before

    return onnxruntime


def may_have_cuda() -> bool:
    """Return whether ONNX Runtime is there with CUDA; it is not imported for the answer, which takes long."""
    if "onnxruntime" in sys.modules:
        return "CUDAExecutionProvider" in onnx_runtime().get_available_providers()
    found = importlib.util.find_spec("onnxruntime")
    if found is None or found.origin is None:
        return False
    return (Path(found.origin).parent / _CUDA_LIBRARY).is_file()
