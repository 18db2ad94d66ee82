"""The broker queues of what a worker serves, beside those of its levels."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import structlog

from stemline.workers.app import EXCHANGE, separate_queue

log = structlog.get_logger(__name__)


class ModelQueues:
    """Has a worker take the wake-ups for jobs that do not stand in the common line.

    Args:
        consumer: Celery's, of this worker.
        levels: Levels that the worker takes.
    """

    def __init__(self, consumer: Any, levels: Sequence[int]) -> None:
        self._consumer = consumer
        self._levels = levels

    def follow(self, serves: Collection[str]) -> None:
        """Consume the queues of what the worker serves, and no others; may be called by any thread."""
        self._consumer.call_soon(
            self._apply, {separate_queue(level, each) for level in self._levels for each in serves}
        )

    def _apply(self, wanted: set[str]) -> None:
        """Add and cancel queues, in the thread of Celery's loop."""
        channel = self._consumer.task_consumer
        if channel is None:
            return  # it connects again; the next report follows soon
        names = {queue.name for queue in channel.queues}
        ours = {name for name in names if name.count(".") > 1 and name.startswith("separate.")}
        try:
            for name in sorted(wanted - ours):
                self._consumer.add_task_queue(name, EXCHANGE, "direct", name)
            for name in sorted(ours - wanted):
                self._consumer.cancel_task_queue(name)
        except Exception as error:  # noqa: BLE001 - kombu raises many kinds of errors; the next report tries again
            log.warning("queues.not_followed", error=type(error).__name__)
