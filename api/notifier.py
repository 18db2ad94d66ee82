"""Sending of wake-ups without making the submitter wait.

A Celery message is only a hint that a job may be ready. It is sent from a thread of its own, so that a slow
or missing broker neither delays nor fails a submission that is already stored; the sweeper sends
again what is lost.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence

import structlog

from stemline.jobs.store import WakeUp

log = structlog.get_logger(__name__)

MAX_WAITING = 10_000


class BackgroundNotifier:
    """Sends the messages of one process, in order."""

    def __init__(self, notify: Callable[[Sequence[WakeUp]], None]) -> None:
        """Send each wake-up with ``notify([wake_up])``."""
        self._notify = notify
        self._wake_ups: queue.Queue[WakeUp | None] = queue.Queue(MAX_WAITING)
        self._thread = threading.Thread(target=self._work, name="notifier", daemon=True)
        self._thread.start()

    def __call__(self, wake_ups: Sequence[WakeUp]) -> None:
        """Queue wake-ups to be sent; never raise and never wait."""
        for wake_up in wake_ups:
            try:
                self._wake_ups.put_nowait(wake_up)
            except queue.Full:
                log.warning("wake_up.dropped", reason="the broker is too slow")
                return

    def close(self, timeout_s: float = 5.0) -> None:
        """Send what is still queued, then stop."""
        try:
            self._wake_ups.put(None, timeout=timeout_s)
        except queue.Full:
            return
        self._thread.join(timeout_s)

    def _work(self) -> None:
        while (wake_up := self._wake_ups.get()) is not None:
            try:
                self._notify([wake_up])
            except Exception as error:  # noqa: BLE001 - whatever the broker's client raises, the sweeper sends it again
                log.warning("wake_up.not_sent", job=wake_up.job_id, fault=type(error).__name__)
