"""The composition root: builds what a process of each kind consists of, from its settings.

Everything else gets what it works with as arguments. So this module may import all packages, and it does so
within its functions: the API's environment holds no engine, and a command loads only what it uses. Only
entry points (the command line, uvicorn's factory, tests) import it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from stemline.runtime import logging
from stemline.runtime.settings import Settings

if TYPE_CHECKING:
    from celery import Celery

    from stemline.workers.context import SeparationContext
    from stemline.workers.metrics import WorkerMetrics
    from stemline.workers.shutdown import Shutdown
    from stemline.workers.sweep import Sweeper


def celery_app(settings: Settings) -> Celery:
    """Return a Celery application that sends messages and runs no tasks: of the API, Beat and Flower."""
    from stemline.runtime.compat import kombu
    from stemline.workers.app import create_app

    kombu.raise_connection_error_on_closed_channels()
    return create_app(settings)


def beat(settings: Settings) -> Celery:
    """Return the Celery application of Beat."""
    app = celery_app(settings)
    _log_as_configured(settings)
    return app


def separation_worker(settings: Settings) -> Celery:
    """Return the Celery application of a separation worker; its pool forks from this process."""
    from celery import signals

    from stemline.workers import process_init, separate
    from stemline.workers.shutdown import Shutdown

    app = celery_app(settings)
    metrics = _worker_metrics(settings)
    shutdown = Shutdown()  # before the pool forks, so that its children share it

    @cache
    def context() -> SeparationContext:  # called by the pool's children
        return _separation_context(settings, app, metrics, shutdown)

    separate.add_task(app, context)
    _log_as_configured(settings)
    signals.worker_shutting_down.connect(lambda **_: shutdown.request(), weak=False)
    signals.worker_process_init.connect(lambda **_: process_init.start(context()), weak=False)
    # A child of the pool ends without Python's atexit handlers, which would send the last spans.
    signals.worker_process_shutdown.connect(lambda **_: context().tracer.flush(), weak=False)
    return app


def callback_worker(settings: Settings) -> Celery:
    """Return the Celery application of a callback worker, which also sweeps; its pool is of threads."""
    from stemline.callbacks import DeliveryService
    from stemline.runtime.store import open_store
    from stemline.runtime.telemetry import create_tracer
    from stemline.workers import deliver, sweep
    from stemline.workers.notifier import CeleryNotifier

    app = celery_app(settings)
    metrics = _worker_metrics(settings)
    notifier = CeleryNotifier(app)
    store = open_store(settings, notify=notifier.notify_workers)
    delivery_service = DeliveryService(
        store, settings, metrics.callback_tried, create_tracer(settings, "stemline-callbacks")
    )

    @cache
    def sweeper() -> Sweeper:  # made by the first sweep: S3 clients are slow to make
        return sweep.Sweeper(settings, store, app, notifier, metrics)

    deliver.add_task(app, delivery_service.deliver)
    sweep.add_task(app, sweeper)
    _log_as_configured(settings)
    return app


def _separation_context(
    settings: Settings, app: Celery, metrics: WorkerMetrics, shutdown: Shutdown
) -> SeparationContext:
    from stemline.runtime.store import open_store
    from stemline.runtime.telemetry import create_tracer
    from stemline.storage import Buckets
    from stemline.workers.context import SeparationContext
    from stemline.workers.engines import Engines
    from stemline.workers.notifier import CeleryNotifier

    notifier = CeleryNotifier(app)
    return SeparationContext(
        settings=settings,
        store=open_store(settings, notify=notifier.notify_workers),
        buckets=Buckets(settings),
        notifier=notifier,
        tracer=create_tracer(settings, "stemline-worker"),
        metrics=metrics,
        shutdown=shutdown,
        engine=Engines(settings, metrics),
    )


def _worker_metrics(settings: Settings) -> WorkerMetrics:
    """Return the metrics of a worker, which are served from its start if the settings name a port."""
    from celery import signals

    from stemline.runtime.compat import prometheus
    from stemline.workers import metrics

    if not settings.metrics.port:
        return metrics.WorkerMetrics()
    folder = prometheus.share_values()
    numbers = metrics.WorkerMetrics()

    def serve(**_: Any) -> None:
        numbers.begin()
        metrics.serve(settings.metrics, folder)

    signals.worker_ready.connect(serve, weak=False)
    return numbers


def _log_as_configured(settings: Settings) -> None:
    """Keep Celery from configuring the logging, and have what it prints logged too."""
    from celery import signals

    from stemline.runtime.compat import celery

    signals.setup_logging.connect(lambda **_: logging.configure(settings), weak=False)
    celery.write_shutdown_lines(logging.urgent)
