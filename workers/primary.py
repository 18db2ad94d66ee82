"""Follows the primary of the broker when Sentinels name another."""

from __future__ import annotations

from typing import Any

from celery import bootsteps

from stemline.runtime.compat.kombu import drop_connections_to_replaced_primary
from stemline.runtime.redis_client import CHECK_S


class PrimaryFollower(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery ships no types
    """Asks the Sentinels from the consumer's event loop; started anew for each connection to the broker."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._timer: Any = None

    def start(self, parent: Any) -> None:
        """Begin to ask."""
        channel = parent.task_consumer.channel
        self._timer = parent.timer.call_repeatedly(CHECK_S, drop_connections_to_replaced_primary, (channel,))

    def stop(self, parent: Any) -> None:  # noqa: ARG002 - Celery's signature
        """Stop the timer when the connection ends."""
        if self._timer is not None:
            self._timer.cancel()
