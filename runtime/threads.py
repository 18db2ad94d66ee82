"""Calls in threads of their own, which nobody has to wait for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def in_thread(call: Callable[[], T], *, name: str) -> Future[T]:
    """Run a call in a thread of its own, which does not keep the process from ending.

    Args:
        call: Must end by itself, even when nobody waits for its result.
        name: Name of the thread.

    Returns:
        What the call returns or raises; ``result(timeout)`` raises TimeoutError if that takes longer.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
            future.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future
