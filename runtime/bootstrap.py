"""The composition root: builds what a process of each kind consists of, from its settings.

Everything else gets what it works with as arguments. So this module may import all packages, and it does so
within its functions: the API's environment holds no engine, and a command loads only what it uses. Only
entry points (commands, the processes behind a port, test servers) import it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from stemline.runtime import logging
from stemline.runtime.settings import Settings

if TYPE_CHECKING:
    from celery import Celery
    from starlette.applications import Starlette

    from stemline.api.metrics import ApiMetrics
    from stemline.jobs.store import Store
    from stemline.runtime.credentials import CredentialFiles
    from stemline.workers.context import SeparationContext
    from stemline.workers.device_in_use import DeviceInUse
    from stemline.workers.metrics import WorkerMetrics
    from stemline.workers.prober import Prober
    from stemline.workers.shutdown import Shutdown
    from stemline.workers.sweep import Sweeper


def api(
    settings: Settings,
    store: Store | None = None,
    *,
    files: CredentialFiles | None = None,
    clock: Callable[[], float] = time.time,
    metrics: ApiMetrics | None = None,
) -> Starlette:
    """Return the API's application.

    Args:
        settings: hosts, credentials, limits.
        store: the job store; by default that of the settings, with wake-ups sent through Celery.
        files: credentials; by default those that the settings name.
        clock: Unix seconds; signatures are checked against it.
        metrics: counts requests; by default nobody reads them.
    """
    from stemline.api.app import create_app
    from stemline.api.bodies import BodyBudget
    from stemline.api.credentials import Principals
    from stemline.api.hosts import HostTable
    from stemline.api.hub import EventHub
    from stemline.api.limits import RateLimit
    from stemline.api.metrics import ApiMetrics
    from stemline.api.services import Services
    from stemline.runtime.credentials import CredentialFiles
    from stemline.runtime.message_queues import check_endpoints
    from stemline.runtime.telemetry import create_tracer
    from stemline.storage import Buckets

    check_endpoints(settings)
    files = files or CredentialFiles.of(settings)
    on_shutdown = None
    if store is None:
        store, on_shutdown = _notifying_store(settings)
    services = Services(
        settings=settings,
        store=store,
        hosts=HostTable(settings),
        principals=Principals(files.key_pairs, settings),
        buckets=Buckets(settings, files.buckets),
        limit=RateLimit(settings.access.rate_limit_per_s, settings.access.rate_limit_burst),
        bodies=BodyBudget(settings.server.body_memory_bytes),
        tracer=create_tracer(settings, "stemline-api"),
        metrics=metrics or ApiMetrics(),
        hub=EventHub(
            store.events,
            limit=settings.listeners.limit,
            limit_per_credential=settings.listeners.limit_per_credential,
        ),
        clock=clock,
    )
    return create_app(services, on_shutdown=on_shutdown)


def serve_api(settings: Settings, *, host: str, port: int, processes: int) -> None:
    """Serve the API until a signal comes, optionally with several processes on one port.

    Limits of rates, connections and memory apply to each process. Metrics and readiness are served by this
    process, on a port of their own.
    """
    from stemline.api import admin
    from stemline.api.metrics import ApiMetrics
    from stemline.api.server import configure
    from stemline.runtime import telemetry
    from stemline.runtime.compat import prometheus, uvicorn, versions
    from stemline.runtime.message_queues import check_endpoints

    # What would stop the application is found here once, not by each process again and again.
    versions.check("uvicorn")
    telemetry.check(settings)
    check_endpoints(settings)
    _configure_logging(settings).check()
    shared = prometheus.share_values() if processes > 1 else None
    metrics = ApiMetrics(shared=shared)
    app = partial(_api_process, settings, shared) if shared else partial(_only_api_process, settings, metrics)
    config = configure(app, settings, host=host, port=port, processes=processes, factory=True)
    with admin.serving(settings, metrics, public=(host, port)):
        uvicorn.serve(config)


def _only_api_process(settings: Settings, metrics: ApiMetrics) -> Starlette:
    """Return the application of this process."""
    return api(settings, files=_configure_logging(settings), metrics=metrics)


def _api_process(settings: Settings, shared_metrics: str) -> Starlette:
    """Return the application of one of several processes behind the port."""
    from stemline.api.metrics import ApiMetrics

    return _only_api_process(settings, ApiMetrics(shared=shared_metrics))


def _notifying_store(settings: Settings) -> tuple[Store, Callable[[], None]]:
    """Return the store of the API, which notifies workers in the background, and what stops it."""
    from stemline.api.notifier import BackgroundNotifier
    from stemline.runtime.store import open_store
    from stemline.workers.notifier import CeleryNotifier

    sender = CeleryNotifier(celery_app(settings))
    notifier = BackgroundNotifier(sender.notify_workers, sender.deliver)
    return open_store(settings, notify=notifier, deliver=notifier.deliver), notifier.close


def celery_app(settings: Settings) -> Celery:
    """Return a Celery application that sends messages and runs no tasks: of the API, Beat and Flower."""
    from stemline.runtime.compat import kombu, versions
    from stemline.runtime.redis_client import CHECK_S
    from stemline.workers.app import create_app

    versions.check("botocore", "celery", "kombu")
    kombu.raise_connection_error_on_closed_channels()
    kombu.reconnect_after_refusals()
    kombu.leave_replaced_primaries(CHECK_S)
    return create_app(settings)


def beat(settings: Settings) -> Celery:
    """Return the Celery application of Beat."""
    _configure_logging(settings)
    app = celery_app(settings)
    _keep_celery_from_logging(settings)
    return app


def serve_flower(settings: Settings, *, address: str, port: int, control: bool) -> None:
    """Serve Flower until a signal comes; ``control`` lets it change workers and tasks."""
    from stemline.runtime.compat import flower, versions

    versions.check("flower")
    _configure_logging(settings)
    flower.serve(celery_app(settings), address=address, port=port, read_only=not control)


def separation_worker(settings: Settings) -> Celery:
    """Return the Celery application of a separation worker; its pool forks from this process.

    With a GPU the pool is of threads, and the call waits while the card is out of service.

    Raises:
        DeviceError: CUDA was asked for and cannot be used.
    """
    from celery import signals

    from stemline.runtime import telemetry
    from stemline.storage import Buckets
    from stemline.workers import process_init, separate
    from stemline.workers.device_in_use import DeviceInUse
    from stemline.workers.scratch import check_scratch
    from stemline.workers.shutdown import Shutdown

    telemetry.check(settings)
    files = _configure_logging(settings)
    # What would fail every job is found before one is claimed.
    check_scratch(settings.storage.scratch_dir)
    Buckets(settings, files.buckets).check_access(most_skew_s=settings.jobs.lease_s / 2)
    app = celery_app(settings)
    metrics = _worker_metrics(settings, forks=settings.engine.device != "cuda")
    shutdown = Shutdown()  # before the pool forks, so that its children share it
    device_in_use = DeviceInUse(settings.engine.device)
    device_failed = _watch_device(settings, metrics)

    @cache
    def context() -> SeparationContext:  # called by the pool's children
        return _separation_context(
            settings,
            files,
            app,
            metrics=metrics,
            shutdown=shutdown,
            device_in_use=device_in_use,
            device_failed=device_failed,
        )

    separate.add_task(app, context)
    _answer_probes(settings, files)
    _report_presence(settings, "separation", device_in_use)
    _keep_celery_from_logging(settings)
    signals.worker_shutting_down.connect(lambda **_: shutdown.request(), weak=False)
    if settings.engine.device == "cuda":
        signals.worker_ready.connect(lambda **_: process_init.prepare(context()), weak=False)
    else:
        signals.worker_process_init.connect(lambda **_: process_init.start(context()), weak=False)
    # A child of the pool ends without Python's atexit handlers, which would send the last spans.
    signals.worker_process_shutdown.connect(lambda **_: context().tracer.flush(), weak=False)
    return app


def _answer_probes(settings: Settings, files: CredentialFiles) -> None:
    """Probe sources for dry runs in this process: the slots of the pool may all be taken."""
    from celery import signals

    started: list[Prober] = []

    def stop(**_: Any) -> None:
        for prober in started:
            prober.stop()

    def start(**_: Any) -> None:  # after the fork: what it loads is not for the pool
        from stemline.runtime.store import open_store
        from stemline.storage import Buckets
        from stemline.workers.engines import create_decoder
        from stemline.workers.prober import Prober

        buckets = Buckets(settings, files.buckets)
        started.append(Prober(settings, open_store(settings), buckets, create_decoder(settings)))
        started[0].start()

    signals.worker_ready.connect(start, weak=False)
    signals.worker_shutting_down.connect(stop, weak=False)


def _report_presence(settings: Settings, kind: str, device_in_use: DeviceInUse | None = None) -> None:
    """Have a worker of a kind report itself from when it is ready, after its pool has forked, to its end."""
    from importlib.metadata import version

    from celery import signals

    from stemline.jobs.worker import Worker
    from stemline.runtime.store import open_store
    from stemline.workers.app import LEVELS, separate_queue
    from stemline.workers.presence import Presence

    started: list[Presence] = []

    def start(sender: Any, **_: Any) -> None:
        store = open_store(settings)
        served = {queue.name for queue in sender.task_consumer.queues}
        worker = Worker(
            name=sender.hostname,
            kind=kind,
            slots=sender.controller.concurrency,
            levels=tuple(level for level in LEVELS if separate_queue(level) in served),
            device="",
            version=version("stemline"),
            started=time.time_ns() // 1000,
        )
        started.append(Presence(store, worker, device_in_use=device_in_use))
        started[0].start()

    def stop(**_: Any) -> None:
        for presence in started:
            presence.stop()

    signals.worker_ready.connect(start, weak=False)
    signals.worker_shutdown.connect(stop, weak=False)


def _watch_device(settings: Settings, metrics: WorkerMetrics) -> Callable[[str], None]:
    """Wait while the GPU is out of service, and return what an attempt calls when it fails."""
    import os

    from stemline.workers import device_faults
    from stemline.workers.liveness import LivenessFile
    from stemline.workers.scratch import parent_of_scratch

    card = device_faults.card(settings)
    faults = device_faults.DeviceFaults(parent_of_scratch(settings.storage.scratch_dir), card)
    if card:
        touch = LivenessFile(settings.monitoring.liveness_file).touch
        device_faults.wait_until_usable(faults, metrics, touch=touch)
    return device_faults.end_after_fault(faults, metrics, os.getpid())


def callback_worker(settings: Settings) -> Celery:
    """Return the Celery application of a callback worker, which also sweeps; its pool is of threads."""
    from celery import signals

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
    files = _configure_logging(settings)
    app = celery_app(settings)
    metrics = _worker_metrics(settings)
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
    _report_presence(settings, "callbacks")
    _keep_celery_from_logging(settings)
    return app


def _separation_context(
    settings: Settings,
    files: CredentialFiles,
    app: Celery,
    *,
    metrics: WorkerMetrics,
    shutdown: Shutdown,
    device_in_use: DeviceInUse,
    device_failed: Callable[[str], None],
) -> SeparationContext:
    from stemline.runtime.store import open_store
    from stemline.runtime.telemetry import create_tracer
    from stemline.storage import Buckets
    from stemline.workers.context import SeparationContext
    from stemline.workers.engines import Engines, create_decoder
    from stemline.workers.notifier import CeleryNotifier
    from stemline.workers.task_events import TaskEvents

    notifier = CeleryNotifier(app)
    return SeparationContext(
        settings=settings,
        store=open_store(settings, notify=notifier.notify_workers),
        buckets=Buckets(settings, files.buckets),
        notifier=notifier,
        tracer=create_tracer(settings, "stemline-worker"),
        metrics=metrics,
        events=TaskEvents(app),
        shutdown=shutdown,
        engine=Engines(settings, metrics, device_in_use),
        decoder=create_decoder(settings),
        device_failed=device_failed,
    )


def _worker_metrics(settings: Settings, *, forks: bool = True) -> WorkerMetrics:
    """Return the metrics of a worker, which are served from its start if the settings name a port.

    A worker that forks serves them when its pool has forked, because a thread serves them.
    """
    from celery import signals

    from stemline.runtime.compat import prometheus, versions
    from stemline.workers import metrics

    if not settings.metrics.port:
        return metrics.WorkerMetrics()
    versions.check("prometheus-client")
    folder = prometheus.share_values()
    numbers = metrics.WorkerMetrics()

    def serve(**_: Any) -> None:
        numbers.begin()
        metrics.serve(settings.metrics, folder)

    if forks:
        signals.worker_ready.connect(serve, weak=False)
    else:
        serve()
    return numbers


def _configure_logging(settings: Settings) -> CredentialFiles:
    """Configure the logging of this process, and return the credentials whose secrets it masks."""
    from stemline.runtime.credentials import CredentialFiles

    files = CredentialFiles.of(settings)
    logging.configure(settings, files)
    return files


def _keep_celery_from_logging(settings: Settings) -> None:
    """Keep Celery from configuring the logging, and have what it prints logged too."""
    from celery import signals

    from stemline.runtime.compat import celery

    signals.setup_logging.connect(lambda **_: None, weak=False)
    celery.write_shutdown_lines(logging.signal_safe_writer(settings))
