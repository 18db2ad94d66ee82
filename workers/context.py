"""What a worker process holds: made at first use, so never before a fork."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from stemline.jobs.store import Store
from stemline.runtime import tracing
from stemline.runtime.settings import Settings
from stemline.runtime.tracing import Tracer
from stemline.storage import Buckets
from stemline.workers import metrics
from stemline.workers.app import notify_workers

if TYPE_CHECKING:
    from stemline.callbacks import DeliveryService


@cache
def settings() -> Settings:
    """The settings of this process."""
    return Settings()


@cache
def store() -> Store:
    """The job store."""
    return Store.open(settings(), notify=notify_workers)


def tracer() -> Tracer:
    """What makes spans in this process."""
    return tracing.tracer(settings(), "stemline-worker")


@cache
def buckets() -> Buckets:
    """The buckets."""
    return Buckets(settings())


@cache
def delivery_service() -> DeliveryService:
    """What delivers callbacks in this process."""
    from stemline.callbacks import DeliveryService  # noqa: PLC0415 - needs packages that separation workers lack

    return DeliveryService(store(), settings(), metrics.callback_tried)
