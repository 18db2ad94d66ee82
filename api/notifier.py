"""Ringing for workers without making the submitter wait.

A Celery message is only a hint that a job may be ready. It is sent from a thread of its own, so that a slow
or missing broker neither delays nor fails a submission that is already stored; the sweeper rings again for
what is lost.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence

import structlog

from stemline.jobs.store import Bell

log = structlog.get_logger(__name__)

MAX_WAITING = 10_000


class Ringer:
    """Sends the messages of one process, in order."""

    def __init__(self, ring: Callable[[Sequence[Bell]], None]) -> None:
        """Send with ``ring(bells)``."""
        self._ring = ring
        self._bells: queue.Queue[Bell | None] = queue.Queue(MAX_WAITING)
        self._thread = threading.Thread(target=self._work, name="bell", daemon=True)
        self._thread.start()

    def __call__(self, bells: Sequence[Bell]) -> None:
        """Ring soon; never raises and never waits."""
        for bell in bells:
            try:
                self._bells.put_nowait(bell)
            except queue.Full:
                log.warning("bell.dropped", reason="the broker is too slow")
                return

    def close(self, timeout_s: float = 5.0) -> None:
        """Ring for what is still waiting, then stop."""
        try:
            self._bells.put(None, timeout=timeout_s)
        except queue.Full:
            return
        self._thread.join(timeout_s)

    def _work(self) -> None:
        while (bell := self._bells.get()) is not None:
            try:
                self._ring([bell])
            except Exception as error:  # noqa: BLE001 - whatever the broker's client raises, the sweeper rings again
                log.warning("bell.lost", job=bell.job_id, fault=type(error).__name__)
