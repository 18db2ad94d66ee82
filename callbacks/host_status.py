"""Which hosts answer, which hang, and how many threads may wait for those that are not known to answer."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from typing import Final

from stemline.callbacks.outcome import Outcome

SLOW_S: Final = 2.0
"""A try that took this long and failed costs threads."""
REMEMBERED: Final = 10_000
"""Hosts that are remembered; beyond, the one tried longest ago is forgotten."""


class Standing(StrEnum):
    """What a host's last try showed."""

    UNKNOWN = "unknown"
    ANSWERS = "answers"
    HANGS = "hangs"


class Health:
    """What one process has seen of hosts; safe to use from several threads.

    A host that answers always finds a thread: those that hang hold at most half of the threads, and together
    with those that were never tried at most three quarters.
    """

    def __init__(self, threads: int) -> None:
        self._seen: OrderedDict[str, Standing] = OrderedDict()
        self._lock = threading.Lock()
        self._for_hanging = threading.Semaphore(max(1, threads // 2))
        self._for_uncertain = threading.Semaphore(max(1, threads * 3 // 4))

    def of(self, host: str) -> Standing:
        """What is known of a host."""
        with self._lock:
            return self._seen.get(host, Standing.UNKNOWN)

    def note(self, host: str, outcome: Outcome, took_s: float) -> None:
        """Learn from a try; a fast failure is an answer too."""
        hangs = not outcome.delivered and took_s >= SLOW_S
        with self._lock:
            self._seen[host] = Standing.HANGS if hangs else Standing.ANSWERS
            self._seen.move_to_end(host)
            if len(self._seen) > REMEMBERED:
                self._seen.popitem(last=False)

    @contextmanager
    def thread_for(self, host: str) -> Iterator[bool]:
        """Whether this thread may be spent on the host."""
        wanted = {
            Standing.ANSWERS: (),
            Standing.UNKNOWN: (self._for_uncertain,),
            Standing.HANGS: (self._for_uncertain, self._for_hanging),
        }[self.of(host)]
        with ExitStack() as held:
            for semaphore in wanted:
                if not semaphore.acquire(blocking=False):
                    held.close()
                    yield False
                    return
                held.callback(semaphore.release)
            yield True
