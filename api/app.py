"""The API as an ASGI application."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.exceptions import HTTPException

from stemline.api import buckets, callbacks, console, errors, health, jobs, openapi, queues, templates
from stemline.api.context import Services
from stemline.api.credentials import Credentials
from stemline.api.hosts import HostTable
from stemline.api.limits import RateLimit
from stemline.api.middleware import RequestLifecycleMiddleware
from stemline.api.notifier import BackgroundNotifier
from stemline.jobs.errors import StemlineError
from stemline.jobs.store import Store
from stemline.runtime.settings import Settings
from stemline.runtime.store import open_store
from stemline.runtime.store_metrics import StoreCollector
from stemline.runtime.telemetry import create_tracer

RESOURCES = (
    jobs.router,
    templates.router,
    queues.router,
    buckets.router,
    callbacks.router,
    console.router,
    health.router,
)
"""One router per resource."""


def create_app(
    settings: Settings, store: Store | None = None, *, clock: Callable[[], float] = time.time
) -> FastAPI:
    """Return the application.

    Args:
        settings: hosts, credentials, limits.
        store: the job store; by default that of the settings, with wake-ups sent through Celery.
        clock: Unix seconds; signatures are checked against it.
    """
    notifier: BackgroundNotifier | None = None
    if store is None:
        # Only this needs Celery.
        from stemline.runtime import bootstrap  # noqa: PLC0415
        from stemline.workers.notifier import CeleryNotifier  # noqa: PLC0415

        notifier = BackgroundNotifier(CeleryNotifier(bootstrap.celery_app(settings)).notify_workers)
        store = open_store(settings, notify=notifier)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        if notifier is not None:
            notifier.close()

    app = FastAPI(
        title="Stemline",
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        exception_handlers={StemlineError: errors.on_stemline_error, HTTPException: errors.on_http_error},
    )
    app.state.services = Services(
        settings=settings,
        store=store,
        hosts=HostTable(settings),
        credentials=Credentials(settings),
        limit=RateLimit(settings.access.rate_limit_per_s, settings.access.rate_limit_burst),
        tracer=create_tracer(settings, "stemline-api"),
        collector=StoreCollector(store.statistics, most_queues=settings.metrics.queues),
        clock=clock,
    )
    app.state.routes = [route for router in RESOURCES for route in router.routes]
    app.state.description = openapi.document(app.state.routes)
    for router in RESOURCES:
        app.include_router(router)
    app.add_middleware(RequestLifecycleMiddleware)
    return app
