"""A callback worker, which also sweeps."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from stemline.runtime.bootstrap.celery_processes import celery_app
from stemline.runtime.bootstrap.process_logging import configure_logging, keep_celery_from_logging
from stemline.runtime.bootstrap.worker_parts import report_presence, worker_metrics
from stemline.runtime.settings import Settings

if TYPE_CHECKING:
    from celery import Celery

    from stemline.workers.sweep import Sweeper


def callback_worker(settings: Settings) -> Celery:
    """Return the Celery application of a callback worker, which also sweeps; its pool is of threads."""
    from celery import signals

    from stemline.runtime import extras

    extras.require("callbacks")
    from stemline.callbacks import DeliveryService
    from stemline.runtime.message_queues import check_endpoints
    from stemline.runtime.store import open_store
    from stemline.runtime.telemetry import create_tracer
    from stemline.storage import Buckets
    from stemline.workers import deliver, sweep
    from stemline.workers.notifier import CeleryNotifier
    from stemline.workers.task_events import TaskEvents
    from stemline.workers.ticker import Ticker

    check_endpoints(settings)
    files = configure_logging(settings)
    files.warn_without_buckets()
    app = celery_app(settings)
    metrics = worker_metrics(settings)
    notifier, events = CeleryNotifier(app), TaskEvents(app)
    store = open_store(settings, notify=notifier.notify_workers)
    reports = deliver.DeliveryReports(metrics, events)
    tracer = create_tracer(settings, "stemline-callbacks")
    delivery_service = DeliveryService(store, settings, reports, tracer, files.key_pairs)

    @cache
    def sweeper() -> Sweeper:  # made by the first sweep: S3 clients are slow to make
        buckets = Buckets(settings.with_changes(storage_patience_s=sweep.RETRY_BUDGET_S), files.buckets)
        return sweep.Sweeper(
            settings, store, buckets, app=app, notifier=notifier, metrics=metrics, events=events
        )

    ticker = Ticker(store)
    signals.worker_ready.connect(lambda **_: ticker.start(), weak=False)
    signals.worker_shutting_down.connect(lambda **_: ticker.stop(), weak=False)
    deliver.add_task(app, delivery_service.deliver)
    sweep.add_task(app, sweeper)
    report_presence(settings, "callbacks")
    keep_celery_from_logging(settings)
    return app
