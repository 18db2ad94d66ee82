"""Processes that end with their parent, so that none is left when it is killed."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int, number: int = signal.SIGKILL) -> None:
    """Have the kernel send this process a signal when its parent has ended.

    Elsewhere than on Linux it does nothing.

    Args:
        parent: The parent's process id, read in the parent before the fork: it may have ended meanwhile, and
            then this process ends at once.
        number: The signal.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os._exit(1)
