"""The API: one process, or several behind one port."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from stemline.runtime.bootstrap.celery_processes import celery_app
from stemline.runtime.bootstrap.process_logging import configure_logging
from stemline.runtime.garbage import collect_as_usual
from stemline.runtime.settings import Settings

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from stemline.api.metrics import ApiMetrics
    from stemline.jobs.store import Store
    from stemline.runtime.credentials import CredentialFiles


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
        settings: Hosts, credentials, limits.
        store: The job store; by default that of the settings, with wake-ups sent through Celery.
        files: Credentials; by default those that the settings name.
        clock: Unix seconds; signatures are checked against it.
        metrics: Counts requests; by default nobody reads them.
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
    from stemline.runtime import extras

    extras.require("api")
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
    configure_logging(settings).check()
    shared = prometheus.share_values() if processes > 1 else None
    metrics = ApiMetrics(shared=shared)
    app = partial(_only_api_process, settings, metrics)
    if shared:
        app = partial(_api_process, settings, shared, os.getpid())
    config = configure(app, settings, host=host, port=port, processes=processes, factory=True)
    with admin.serving(settings, metrics, public=(host, port)):
        uvicorn.serve(config)


def _only_api_process(settings: Settings, metrics: ApiMetrics) -> Starlette:
    """Return the application of this process."""
    app = api(settings, files=configure_logging(settings), metrics=metrics)
    # What exists now stays: the garbage collector would look at all of it while requests wait.
    gc.collect()
    gc.freeze()
    collect_as_usual()
    return app


def _api_process(settings: Settings, shared_metrics: str, parent: int) -> Starlette:
    """Return the application of one of several processes behind the port, which ends with the first."""
    from stemline.api.metrics import ApiMetrics
    from stemline.runtime.parent import end_with_parent

    end_with_parent(parent)
    return _only_api_process(settings, ApiMetrics(shared=shared_metrics))


def _notifying_store(settings: Settings) -> tuple[Store, Callable[[], None]]:
    """Return the store of the API, which notifies workers in the background, and what stops it."""
    from stemline.api.notifier import BackgroundNotifier
    from stemline.runtime.store import open_store
    from stemline.workers.notifier import CeleryNotifier

    sender = CeleryNotifier(celery_app(settings))
    notifier = BackgroundNotifier(sender.notify_workers, sender.deliver)
    return open_store(settings, notify=notifier, deliver=notifier.deliver), notifier.close
