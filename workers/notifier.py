"""Messages to idle workers: a job may be ready, a callback is due.

A message is only a hint. One that is lost is sent again by the sweeper.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from celery import Celery

from stemline.jobs.store import WakeUp
from stemline.workers.app import CALLBACKS, DELIVER, SEPARATE, separate_queue

log = structlog.get_logger(__name__)


class CeleryNotifier:
    """Sends them through Celery's broker; never raises."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def notify_workers(self, wake_ups: Sequence[WakeUp]) -> None:
        """Notify idle workers of jobs that may be ready."""
        for wake_up in wake_ups:
            self._send(SEPARATE, [wake_up.job_id, wake_up.level], separate_queue(wake_up.level))

    def deliver(self, delivery_id: str) -> None:
        """Have a callback delivered now."""
        self._send(DELIVER, [delivery_id], CALLBACKS)

    def _send(self, name: str, args: list[object], queue: str) -> None:
        try:
            self._app.send_task(name, args=args, queue=queue, retry=False, ignore_result=True)
        except Exception as error:  # noqa: BLE001 - kombu lets many kinds of errors through
            log.warning("wake_up.not_sent", task=name, fault=type(error).__name__)
