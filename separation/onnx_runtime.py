"""ONNX Runtime with its telemetry switched off; no other module imports the library."""

from __future__ import annotations

import os
from functools import cache
from typing import Any


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
