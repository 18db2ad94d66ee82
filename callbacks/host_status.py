"""The status of callback hosts in one process, and how many threads slow or unknown hosts may occupy."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from typing import Final

from stemline.callbacks.outcome import Outcome

SLOW_S: Final = 2.0
"""A failed attempt that took at least this long marks its host as hanging, in seconds."""
MAX_HOSTS: Final = 10_000
"""Hosts to remember; beyond that, the host attempted longest ago is forgotten."""


class HostStatus(StrEnum):
    """What the last attempt showed about a host."""

    UNKNOWN = "unknown"
    RESPONDING = "responding"
    HANGING = "hanging"


class HostHealth:
    """The status of each host; safe to use from several threads.

    Hanging hosts occupy at most half of the threads; hanging and unknown hosts together occupy at most three
    quarters. So a delivery to a responding host always finds a thread.
    """

    def __init__(self, threads: int) -> None:
        self._statuses: OrderedDict[str, HostStatus] = OrderedDict()
        self._lock = threading.Lock()
        self._hanging_threads = threading.Semaphore(max(1, threads // 2))
        self._uncertain_threads = threading.Semaphore(max(1, threads * 3 // 4))

    def status(self, host: str) -> HostStatus:
        """Return the status of a host."""
        with self._lock:
            return self._statuses.get(host, HostStatus.UNKNOWN)

    def record(self, host: str, outcome: Outcome, duration_s: float) -> None:
        """Update a host's status after an attempt; a host that fails quickly is responding."""
        hanging = not outcome.delivered and duration_s >= SLOW_S
        with self._lock:
            self._statuses[host] = HostStatus.HANGING if hanging else HostStatus.RESPONDING
            self._statuses.move_to_end(host)
            if len(self._statuses) > MAX_HOSTS:
                self._statuses.popitem(last=False)

    @contextmanager
    def thread_for(self, host: str) -> Iterator[bool]:
        """Reserve the current thread for a host; yield whether the limits allow it."""
        limits = {
            HostStatus.RESPONDING: (),
            HostStatus.UNKNOWN: (self._uncertain_threads,),
            HostStatus.HANGING: (self._uncertain_threads, self._hanging_threads),
        }[self.status(host)]
        with ExitStack() as acquired:
            for semaphore in limits:
                if not semaphore.acquire(blocking=False):
                    acquired.close()
                    yield False
                    return
                acquired.callback(semaphore.release)
            yield True
