"""The task that delivers one callback."""

from __future__ import annotations

from stemline.workers import context
from stemline.workers.app import DELIVER, app


@app.task(name=DELIVER)
def deliver(delivery: str) -> None:
    """Attempt to deliver a callback; does nothing when it is not due, or is over."""
    context.delivery_service().deliver(delivery)
