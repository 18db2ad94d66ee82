"""Wake-ups for workers, sent in the background so that a submission never waits for the broker.

A wake-up is a Celery message, only a hint that a job may be ready. A thread sends it, so that a slow or
unreachable broker neither delays nor fails a submission that is already stored. The sweeper sends lost
wake-ups again.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import structlog

from stemline.jobs.store import WakeUp

log = structlog.get_logger(__name__)

#: Wake-ups kept while the broker is slow.
MAX_WAITING = 10_000


class BackgroundNotifier:
    """Sends the wake-ups of one process, in order, from a thread of its own."""

    def __init__(
        self, send: Callable[[Sequence[WakeUp]], None], deliver: Callable[[str], None] = lambda _: None
    ) -> None:
        """Start the thread.

        Args:
            send: Called for each wake-up.
            deliver: Called for the id of each callback that is due at once.
        """
        self._send = send
        self._deliver = deliver
        self._waiting: queue.Queue[tuple[str, Callable[[], None]] | None] = queue.Queue(MAX_WAITING)
        self._thread = threading.Thread(target=self._run, name="notifier", daemon=True)
        self._thread.start()

    def __call__(self, wake_ups: Sequence[WakeUp]) -> None:
        """Queue wake-ups for sending; never blocks and never raises."""
        self._queue((wake_up.job_id, partial(self._send, [wake_up])) for wake_up in wake_ups)

    def deliver(self, deliveries: Sequence[str]) -> None:
        """Have callbacks delivered that are due; never blocks and never raises."""
        self._queue((name, partial(self._deliver, name)) for name in deliveries)

    def _queue(self, messages: Iterable[tuple[str, Callable[[], None]]]) -> None:
        for message in messages:
            try:
                self._waiting.put_nowait(message)
            except queue.Full:
                log.warning("wake_up.dropped", reason="the broker is too slow")
                return

    def close(self, timeout_s: float = 5.0) -> None:
        """Send what is still queued, then stop the thread."""
        try:
            self._waiting.put(None, timeout=timeout_s)
        except queue.Full:
            return
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while (message := self._waiting.get()) is not None:
            subject, send = message
            try:
                send()
            except Exception as error:  # noqa: BLE001 - the broker's clients raise anything; the sweeper sends again
                log.warning("wake_up.not_sent", subject=subject, error=type(error).__name__)
