"""The task that delivers one callback, and the reports on its attempts."""

from __future__ import annotations

from collections.abc import Callable

from celery import Celery

from stemline.callbacks.outcome import Outcome
from stemline.jobs.delivery import Delivery
from stemline.workers.app import DELIVER
from stemline.workers.metrics import WorkerMetrics
from stemline.workers.task_events import TaskEvents


def add_task(app: Celery, deliver: Callable[[str], object]) -> None:
    """Add the task to an application.

    Args:
        app: The application.
        deliver: Attempts a delivery by its id; does nothing if it is not due, or over.
    """

    @app.task(name=DELIVER, send_events=False, shared=False)  # see task_events
    def run(delivery_id: str) -> None:
        deliver(delivery_id)


class DeliveryReports:
    """Reports each delivery attempt to the metrics and to Flower."""

    def __init__(self, metrics: WorkerMetrics, events: TaskEvents) -> None:
        self._metrics = metrics
        self._events = events

    def started(self, delivery: Delivery) -> None:
        """Report that an attempt has started."""
        self._events.delivery_started(delivery)

    def ended(self, delivery: Delivery, outcome: Outcome, state: str, seconds: float) -> None:
        """Report how an attempt ended, and the delivery's new state."""
        kind = "url" if delivery.target.mq is None else "tdmq"
        self._metrics.callback_attempted(kind, outcome.status, state, seconds)
        self._events.delivery_ended(delivery, outcome.status, state, seconds)
