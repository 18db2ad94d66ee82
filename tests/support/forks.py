"""Actions in a forked process, as those of a worker's pool."""

from __future__ import annotations

import multiprocessing
import posix
import signal
import sys
from collections.abc import Callable
from typing import Any


def in_a_fork(action: Callable[..., Any], *arguments: object) -> None:
    """Run an action in a forked process, and assert that it ended well.

    The process ends at once: libraries whose threads were not forked would wait for them at an orderly end.
    Coverage counts nothing in it: another thread of this process may hold its lock at the fork, which nobody
    would release. One that hangs writes where it does.
    """
    process = multiprocessing.get_context("fork").Process(target=_run, args=(action, *arguments))
    process.start()
    process.join(60)
    if process.exitcode is None and process.pid is not None:
        posix.kill(process.pid, signal.SIGABRT)  # pytest has faulthandler enabled
        process.join(10)
    assert process.exitcode == 0


def _run(action: Callable[..., Any], *arguments: object) -> None:
    sys.settrace(None)
    status = 1
    try:
        action(*arguments)
        status = 0
    finally:
        posix._exit(status)  # not os._exit, in which coverage acts
