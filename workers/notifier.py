"""Messages to workers: a job may be ready, a callback is due.

A message is only a hint. The sweeper sends a lost one again.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from celery import Celery

from stemline.jobs.store import WakeUp
from stemline.workers.app import CALLBACKS, DELIVER, SEPARATE, declare_queue, separate_queue

log = structlog.get_logger(__name__)


class CeleryNotifier:
    """Sends messages through Celery's broker; never raises."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def notify_workers(self, wake_ups: Sequence[WakeUp]) -> None:
        """Notify idle workers that jobs may be ready; a message carries the level alone."""
        for wake_up in wake_ups:
            queue = separate_queue(wake_up.level, wake_up.wants)
            if wake_up.wants:
                declare_queue(self._app, queue)
            self._send(SEPARATE, wake_up.level, queue)

    def deliver(self, delivery_id: str) -> None:
        """Have a delivery attempted now."""
        self._send(DELIVER, delivery_id, CALLBACKS)

    def _send(self, task: str, argument: object, queue: str) -> None:
        try:
            self._app.send_task(task, args=[argument], queue=queue, retry=False, ignore_result=True)
        except Exception as error:  # noqa: BLE001 - kombu raises many kinds of errors
            log.warning("wake_up.not_sent", task=task, error=type(error).__name__)
