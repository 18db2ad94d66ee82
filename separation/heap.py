"""How much freed memory glibc keeps for itself; elsewhere nothing here does anything."""

from __future__ import annotations

import ctypes
from typing import Final

#: Parameters of glibc's `mallopt`.
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8
#: The windows, spectra and samples of a segment are larger, bytes.
_LARGE: Final = 4_000_000


def share_heap() -> None:
    """Let all threads take memory from one heap, and return large arrays to the system once they are freed.

    Else glibc keeps a heap for each thread, with what that thread has freed. Call it before threads start.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_ARENA_MAX, 1)
        set_option(_MMAP_THRESHOLD, _LARGE)
