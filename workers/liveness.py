"""The sign of life that a worker and the clock leave in a file, for health probes.

A worker that answers a ping may still take no messages: its wait for the next one hangs on a connection
that died. So the file tells of the waiting itself: it is written each time the broker has answered that wait,
with a message or without, which happens every second; and, while every slot is taken by a job and there is
nothing to wait for, by the timer of the same loop.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import celery.beat
import structlog
from celery import bootsteps

from stemline.runtime.compat.kombu import on_broker_answer

log = structlog.get_logger(__name__)

#: How often the file is written at most, and how often a full worker's timer looks, s.
_INTERVAL_S = 1.0


class SignOfLife:
    """A file that holds when it was written last, in seconds of the machine's monotonic clock."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._next = 0.0
        self._failed = False

    def give(self) -> None:
        """Write the file, unless that was done a moment ago. Never raises: work goes on without it."""
        now = time.monotonic()
        if self._path is None or now < self._next:
            return
        self._next = now + _INTERVAL_S
        try:
            # Shorter than a block and always as long: a reader never sees half of it.
            self._path.write_text(f"{now:015.3f}\n")
        except OSError as error:
            if not self._failed:
                log.warning("alive.not_written", path=str(self._path), reason=error.strerror)
            self._failed = True


def age_s(path: Path) -> float | None:
    """How long ago the sign of life was given, s; None where there is none, or one from before a reboot."""
    try:
        age = time.monotonic() - float(path.read_text())
    except (OSError, ValueError):
        return None
    return age if age >= 0 else None


class Consumption(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery ships no types
    """Hooks the sign of life into the consumer, anew after each connection to the broker."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._sign = SignOfLife(parent.app.conf.liveness_file)
        self._timer: Any = None

    def start(self, parent: Any) -> None:
        """Watch this connection's channel."""
        channel = parent.task_consumer.channel
        on_broker_answer(channel, self._sign.give)
        self._timer = parent.timer.call_repeatedly(_INTERVAL_S, self._while_full, (channel,))

    def stop(self, parent: Any) -> None:  # noqa: ARG002 - Celery gives it
        """The connection is over."""
        if self._timer is not None:
            self._timer.cancel()

    def _while_full(self, channel: Any) -> None:
        if not channel.qos.can_consume():
            self._sign.give()


class Scheduler(celery.beat.Scheduler):  # type: ignore[misc]  # Celery ships no types
    """The clock, which gives its sign of life when the broker has taken a sweep."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._sign = SignOfLife(self.app.conf.liveness_file)

    def apply_async(self, *args: Any, **options: Any) -> Any:
        """Send, then tell.

        Raises:
            SchedulingError: the broker did not take it.
        """
        result = super().apply_async(*args, **options)
        self._sign.give()
        return result
