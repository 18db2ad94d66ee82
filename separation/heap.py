"""How much freed memory glibc keeps for itself; elsewhere nothing here does anything."""

from __future__ import annotations

import ctypes
from typing import Final

#: Parameters of glibc's `mallopt`.
_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8
#: The most that glibc takes for the threshold above which memory is mapped, and so never kept, bytes.
_LARGEST: Final = 32 << 20
#: What sixteen songs on a card hold at a time: four segments each, decoded and separated, bytes.
_KEPT: Final = 1 << 30


def keep_heap() -> None:
    """Let all threads take memory from one heap, which keeps what is freed until `malloc_trim` is called.

    Else glibc keeps a heap for each thread, and returns the largest arrays: of each segment, the system would
    take back 10 to 30 MB and clear them again. Call it before threads start.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        for option, value in ((_ARENA_MAX, 1), (_MMAP_THRESHOLD, _LARGEST), (_TRIM_THRESHOLD, _KEPT)):
            set_option(option, value)
