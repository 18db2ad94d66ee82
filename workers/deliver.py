"""The task that delivers one callback."""

from __future__ import annotations

from collections.abc import Callable

from celery import Celery

from stemline.workers.app import DELIVER


def add_task(app: Celery, deliver: Callable[[str], object]) -> None:
    """Add the task to an application.

    Args:
        app: the application.
        deliver: tries to deliver the callback of an id; does nothing if it is not due or done.
    """

    @app.task(name=DELIVER)
    def run(delivery_id: str) -> None:
        deliver(delivery_id)
