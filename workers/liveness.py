"""Liveness file, touched each time the consumer's BRPOP returns; a ping can succeed while the consumer hangs.

A worker can answer pings and still take no messages, because its blocking read hangs on a dead connection.
So the file is touched when that read returns, with a message or without one, which happens every second.
A worker whose slots are all taken does not read; then a timer of the same event loop touches the file.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, Final

import celery.beat
import structlog
from celery import bootsteps

from stemline.jobs.text import shorten
from stemline.runtime.compat.kombu import on_broker_answer

log = structlog.get_logger(__name__)

INTERVAL_S: Final = 1.0
"""Shortest time between two writes, and the interval of a busy worker's timer, s."""


class LivenessFile:
    """A file with the time of the last touch, in seconds of the machine's monotonic clock."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._next = 0.0
        self._failed = False

    def touch(self) -> None:
        """Write the time, unless that was done within the interval. Never raises."""
        now = time.monotonic()
        if self._path is None or now < self._next:
            return
        self._next = now + INTERVAL_S
        try:
            # Always the same length, and less than a block: a reader never sees half of it, and a full disk
            # takes it in the place of the last one. Cut, not rounded: a time to come would be one from before
            # a reboot.
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o666)
            with os.fdopen(descriptor, "w") as file:
                file.write(f"{int(now * 1000) / 1000:015.3f}\n")
        except OSError as error:
            if not self._failed:
                log.warning("liveness.not_written", path=str(self._path), reason=error.strerror)
            self._failed = True


def age_s(path: Path) -> float | None:
    """Return the seconds since the last touch; ``None`` without a file, or with one from before a reboot."""
    try:
        age = time.monotonic() - float(path.read_text())
    except (OSError, ValueError):
        return None
    return age if age >= 0 else None


class ConsumerLiveness(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery ships no types
    """Touches the file from the consumer; started anew for each connection to the broker."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._file = LivenessFile(parent.app.conf.liveness_file)
        self._timer: Any = None

    def start(self, parent: Any) -> None:
        """Watch the blocking read of this connection's channel."""
        channel = parent.task_consumer.channel
        on_broker_answer(channel, self._file.touch)
        self._timer = parent.timer.call_repeatedly(INTERVAL_S, self._touch_while_busy, (channel,))

    def stop(self, parent: Any) -> None:  # noqa: ARG002 - Celery's signature
        """Stop the timer when the connection ends."""
        if self._timer is not None:
            self._timer.cancel()

    def _touch_while_busy(self, channel: Any) -> None:
        if not channel.qos.can_consume():
            self._file.touch()


class Scheduler(celery.beat.Scheduler):  # type: ignore[misc]  # Celery ships no types
    """Celery beat's scheduler, which touches the file when the broker has accepted a sweep."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._missed = 0
        super().__init__(*args, **options)
        self._file = LivenessFile(self.app.conf.liveness_file)

    def setup_schedule(self) -> None:
        """Make the schedule, and say that beat sends from now on."""
        super().setup_schedule()
        intervals = {name: entry["schedule"] for name, entry in self.app.conf.beat_schedule.items()}
        log.info("beat.started", intervals_s=intervals)

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        """Send what is due, and log a line if the broker does not accept it; Celery would write the stack."""
        try:
            self.apply_async(entry, producer=producer, advance=False)
        except Exception as error:  # noqa: BLE001 - kombu raises many kinds of errors; the next one tries again
            self._missed += 1
            log.warning("beat.not_sent", task=entry.task, reason=shorten(error))
        else:
            if self._missed:
                log.info("beat.sent_again", task=entry.task, missed=self._missed)
            self._missed = 0

    def apply_async(self, *args: Any, **options: Any) -> Any:
        """Send a message, then touch the file.

        Raises:
            SchedulingError: The broker did not accept it.
        """
        result = super().apply_async(*args, **options)
        self._file.touch()
        return result
