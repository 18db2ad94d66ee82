"""What becomes of the memory that jobs have freed."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

from stemline.separation.heap import keep_heap


def keep_freed_memory() -> None:
    """Keep what a segment has freed for the next one while jobs run; call it before threads start."""
    keep_heap()


def return_freed_memory() -> None:
    """Return what was freed to the system; does nothing where the C library cannot.

    glibc keeps what the threads of an attempt, and the opening of networks, have freed: some 240 MB.
    """
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> Any:
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
