"""A separation worker, whose pool forks from its process or, with a GPU, is of threads."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from stemline.runtime.bootstrap.celery_processes import celery_app
from stemline.runtime.bootstrap.process_logging import configure_logging, keep_celery_from_logging
from stemline.runtime.bootstrap.worker_parts import report_presence, worker_metrics
from stemline.runtime.settings import Settings

if TYPE_CHECKING:
    from celery import Celery

    from stemline.runtime.credentials import CredentialFiles
    from stemline.workers.context import SeparationContext
    from stemline.workers.device_in_use import DeviceInUse
    from stemline.workers.metrics import WorkerMetrics
    from stemline.workers.prober import Prober
    from stemline.workers.serving import Serving
    from stemline.workers.shutdown import Shutdown


def separation_worker(settings: Settings) -> Celery:
    """Return the Celery application of a separation worker; its pool forks from this process.

    With a GPU the pool is of threads, and the call waits while the card is out of service.

    Raises:
        DeviceError: CUDA was asked for and cannot be used.
    """
    from stemline.runtime import extras, telemetry

    # The children of the pool would only find out with the first job.
    extras.require("worker")
    from stemline.storage import Buckets
    from stemline.workers import separate
    from stemline.workers.device_in_use import DeviceInUse
    from stemline.workers.freed_memory import keep_freed_memory
    from stemline.workers.scratch import check_scratch
    from stemline.workers.serving import Serving, check_models
    from stemline.workers.shutdown import Shutdown

    telemetry.check(settings)
    files = configure_logging(settings)
    if settings.engine.device == "cuda":
        keep_freed_memory()
    # What would fail every job is found before one is claimed.
    check_scratch(settings.storage.scratch_dir)
    check_models(settings.engine.models_dir)
    Buckets(settings, files.buckets).check_access(max_skew_s=settings.jobs.lease_s / 2)
    app = celery_app(settings)
    metrics = worker_metrics(settings, forks=settings.engine.device != "cuda", levels=settings.workers.levels)
    shutdown = Shutdown()  # before the pool forks, so that its children share it
    device_in_use = DeviceInUse(settings.engine.device)
    serving = Serving(settings.engine)
    serving.refresh()
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
            serving=serving,
            device_failed=device_failed,
        )

    separate.add_task(app, context)
    _answer_probes(settings, files)
    report_presence(settings, "separation", device_in_use, serving)
    keep_celery_from_logging(settings)
    _follow_worker(settings, context, shutdown)
    return app


def _follow_worker(settings: Settings, context: Callable[[], SeparationContext], shutdown: Shutdown) -> None:
    """Do what is to be done when the worker, or a child of its pool, starts and ends."""
    import os

    from celery import signals

    from stemline.workers import process_init

    signals.worker_shutting_down.connect(lambda **_: shutdown.request(), weak=False)
    if settings.engine.device == "cuda":
        signals.worker_ready.connect(
            lambda **_: process_init.prepare(context, worker_pid=os.getpid()), weak=False
        )
    else:
        # Read here, in the worker: a child may be forked just before the worker is killed.
        worker_pid = os.getpid()
        signals.worker_process_init.connect(
            lambda **_: process_init.start(context, worker_pid=worker_pid), weak=False
        )
    # A child of the pool ends without Python's atexit handlers, which would send the last spans.
    signals.worker_process_shutdown.connect(lambda **_: context().tracer.flush(), weak=False)


def _separation_context(
    settings: Settings,
    files: CredentialFiles,
    app: Celery,
    *,
    metrics: WorkerMetrics,
    shutdown: Shutdown,
    device_in_use: DeviceInUse,
    serving: Serving,
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
    engines = Engines(settings, metrics, device_in_use, serving.doubt)
    return SeparationContext(
        settings=settings,
        store=open_store(settings, notify=notifier.notify_workers),
        buckets=Buckets(settings, files.buckets),
        notifier=notifier,
        tracer=create_tracer(settings, "stemline-worker"),
        metrics=metrics,
        events=TaskEvents(app),
        shutdown=shutdown,
        engine=engines,
        loading_bytes=engines.loading_bytes,
        make_room_for=engines.make_room_for,
        has_run=engines.has_run,
        make_room=engines.make_room,
        decoder=create_decoder(settings),
        device_failed=device_failed,
        serves=serving.get,
    )


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
