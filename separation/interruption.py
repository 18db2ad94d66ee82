"""Ends the runs of a network that other threads wait for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Final, TypeVar

from stemline.separation.errors import Cancelled

Result = TypeVar("Result")

#: Longest time for one run of a network that is tried out, s.
TRIAL_S: Final = 600.0


class Interruption:
    """Tells what works for a separation, in any thread, that the separation is over.

    Attributes:
        is_set: Whether it is over.
    """

    def __init__(self) -> None:
        self.is_set = False
        self._ends: dict[object, Callable[[], None]] = {}
        self._lock = threading.Lock()

    def set(self) -> None:
        """End what runs, and what will be begun; it is not waited for."""
        with self._lock:
            self.is_set = True
            ends = list(self._ends.values())
        for end in ends:
            end()

    @contextmanager
    def ends(self, end: Callable[[], None]) -> Iterator[None]:
        """Call `end` if the separation is over before the block is; at once where it already is.

        `end` is called by another thread, and possibly just after the block.
        """
        key = object()
        with self._lock:
            self._ends[key] = end
            is_set = self.is_set
        try:
            if is_set:
                end()
            yield
        finally:
            with self._lock:
                del self._ends[key]


def tried(run: Callable[[Interruption], Result], limit_s: float = TRIAL_S) -> Result:
    """Return the result of a run that Ctrl-C and a limit of time end.

    Raises:
        Cancelled: It took longer.
    """
    interruption = Interruption()
    # A thread of its own: Python handles no signal while the main thread is inside of a library.
    with ThreadPoolExecutor(1, thread_name_prefix="try") as pool:
        future = pool.submit(run, interruption)
        try:
            if not wait([future], limit_s).done:
                raise Cancelled(f"It took longer than {limit_s:g} s.")
        finally:
            interruption.set()
        return future.result()
