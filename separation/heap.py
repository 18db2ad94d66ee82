"""How much freed memory glibc keeps for itself; elsewhere nothing here does anything."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Final

#: Parameters of glibc's `mallopt`.
_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8
#: The windows, spectra and samples of a segment are larger, bytes.
_LARGE: Final = 4_000_000
#: The most that glibc takes for the threshold above which memory is mapped, and so never kept, bytes.
_LARGEST: Final = 32 << 20
#: What sixteen songs hold at a time: samples, decoded and separated ones, of four segments each, bytes.
_KEPT: Final = 1 << 30


def share_heap() -> None:
    """Let all threads take memory from one heap, and return large arrays to the system once they are freed.

    Else glibc keeps a heap for each thread, with what that thread has freed. Call it before threads start.
    """
    _set({_ARENA_MAX: 1, _MMAP_THRESHOLD: _LARGE})


def keep_heap() -> None:
    """Let all threads take memory from one heap, which keeps what is freed until `malloc_trim` is called.

    For a process that separates on a card: of each segment, the system would take back some 10 MB and clear
    them again. Call it before threads start.
    """
    _set({_ARENA_MAX: 1, _MMAP_THRESHOLD: _LARGEST, _TRIM_THRESHOLD: _KEPT})


def _set(options: Mapping[int, int]) -> None:
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        for option, value in options.items():
            set_option(option, value)
