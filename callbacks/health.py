"""Which hosts are in trouble, and how many threads may wait for such hosts."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from callbacks.outcome import Outcome

SLOW_S: Final = 2.0
"""A try that took this long and failed costs threads."""
REMEMBERED: Final = 10_000
"""Hosts in trouble that are remembered; beyond, the oldest trouble is forgotten."""


class Health:
    """What one process has seen of hosts; safe to use from several threads.

    A host is in trouble from a try that failed slowly until one that did not. Troubled hosts together hold at
    most ``spared`` threads, so the others always find some.
    """

    def __init__(self, spared: int) -> None:
        self._troubled: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()
        self._spared = threading.Semaphore(spared)

    def in_trouble(self, host: str) -> bool:
        """Whether the last try cost much and brought nothing."""
        with self._lock:
            return host in self._troubled

    def note(self, host: str, outcome: Outcome, took_s: float) -> None:
        """Learn from a try."""
        with self._lock:
            self._troubled.pop(host, None)
            if not outcome.delivered and took_s >= SLOW_S:
                self._troubled[host] = None
                if len(self._troubled) > REMEMBERED:
                    self._troubled.popitem(last=False)

    @contextmanager
    def thread_for(self, host: str) -> Iterator[bool]:
        """Whether this thread may be spent on the host; always for one that is not in trouble."""
        if not self.in_trouble(host):
            yield True
            return
        spared = self._spared.acquire(blocking=False)
        try:
            yield spared
        finally:
            if spared:
                self._spared.release()
