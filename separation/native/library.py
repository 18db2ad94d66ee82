"""The compiled library for this processor, of those that the build left beside this module."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from stemline.separation.errors import DeviceError, OptionError
from stemline.separation.logs import get_logger

log = get_logger(__name__)

VARIABLE: Final = "STEMLINE_KERNELS"
#: Instruction sets from the least to the most: `kernels_best()` of the base library returns an index of them.
SETS: Final = ("base", "avx2", "avx512")
CHOICES: Final = ("auto", "off", *SETS)
_FOLDER = Path(__file__).parent
_X86: Final = ("x86_64", "amd64")


class Found(NamedTuple):
    """What was found for a choice."""

    library: ctypes.CDLL | None
    instructions: str
    """The library's instruction set; empty where there is none."""
    reason: str = ""
    """Why there is none."""


def load(kernels: str | None = None, folder: Path = _FOLDER) -> Found:
    """Return the library and its instruction set; where there is none, the log says once why not.

    Args:
        kernels: One of :data:`CHOICES`: `auto` is the best that processor and operating system can run; by
            default what the variable `STEMLINE_KERNELS` says.
        folder: Holds libraries and sources.

    Raises:
        OptionError: There is no such choice.
        DeviceError: The instruction set was asked for by name and cannot be used.
    """
    found = find(kernels, folder)
    if found.reason:
        _log_once(found.reason)
    return found


def find(kernels: str | None = None, folder: Path = _FOLDER) -> Found:
    """Return the same as `load`, and log nothing.

    Raises:
        OptionError: See `load`.
        DeviceError: See `load`.
    """
    choice = kernels or os.environ.get(VARIABLE) or "auto"
    if choice not in CHOICES:
        raise OptionError(f"{VARIABLE} cannot be {choice!r}; it is one of {', '.join(CHOICES)}.")
    if choice == "off":
        return Found(None, "")
    found = _find(choice, folder)
    if found.library is None and choice != "auto":
        raise DeviceError(f"{VARIABLE} is {choice}, but {found.reason}.")
    return found


@cache
def _find(choice: str, folder: Path) -> Found:
    try:
        base = _open(folder, "base")
        possible = SETS[: int(base.kernels_best()) + 1]
        if choice == "auto":
            if possible == ("base",) and platform.machine().lower() in _X86:
                return Found(None, "", "this processor has no AVX2, without which ONNX Runtime is faster")
            # A compiler that does not know an instruction set leaves its library out.
            chosen = next(name for name in reversed(possible) if _file(folder, name).exists())
        elif choice in possible:
            chosen = choice
        else:
            return Found(None, "", f"this processor can run {' and '.join(possible)} only")
        return Found(_open(folder, chosen), chosen)
    except _Unusable as error:
        return Found(None, "", str(error))


class _Unusable(Exception):
    """A library is missing or cannot be loaded; the message says why."""


def _file(folder: Path, name: str) -> Path:
    return folder / f"kernels.{name}.so"


def _open(folder: Path, name: str) -> ctypes.CDLL:
    """Load a library that was compiled from the sources beside it.

    Raises:
        _Unusable: There is none.
    """
    file = _file(folder, name)
    if not file.exists():
        raise _Unusable(f"{file.name} was not built: there was no C compiler, or it was not wanted")
    try:
        library = ctypes.CDLL(os.fspath(file))
        compiled_from = ctypes.string_at(
            ctypes.addressof(ctypes.c_char.in_dll(library, "kernels_sources"))
        ).decode()
    except (OSError, ValueError) as error:  # such as a library for another libc or processor
        raise _Unusable(f"{file.name} cannot be loaded: {error}") from None
    # In a checkout whose sources were updated, calls might no longer fit the library.
    if compiled_from != fingerprint(folder):
        raise _Unusable(f"{file.name} was built from other sources: install Stemline again")
    return library


def fingerprint(folder: Path) -> str:
    """Return the SHA-256 of the C sources, as hatch_build.py writes it into the libraries."""
    sources = sorted(folder.glob("*.[ch]"))
    return hashlib.sha256(
        b"".join(file.name.encode() + b"\0" + file.read_bytes() for file in sources)
    ).hexdigest()


@cache
def _log_once(reason: str) -> None:
    log.warning("kernels.not_used", reason=reason)
