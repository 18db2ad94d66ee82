"""The task that sends one callback."""

from __future__ import annotations

from stemline import callbacks
from stemline.workers import context, metrics
from stemline.workers.app import DELIVER, app


@app.task(name=DELIVER)
def deliver(delivery: str) -> None:
    """Try to deliver a callback that is due; nothing happens when it is not, or is over."""
    callbacks.deliver(context.store(), context.settings(), delivery, metrics.callback_tried)
