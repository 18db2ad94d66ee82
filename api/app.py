"""The API as an ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.types import ASGIApp

from stemline.api import (
    batches,
    buckets,
    bulk,
    callbacks,
    console,
    events,
    health,
    jobs,
    openapi,
    queues,
    root,
    templates,
    uploads,
    usage,
)
from stemline.api.middleware import RequestLifecycleMiddleware
from stemline.api.services import Services

RESOURCES = (
    jobs.router,
    events.router,
    bulk.router,
    batches.router,
    usage.router,
    templates.router,
    queues.router,
    buckets.router,
    callbacks.router,
    uploads.router,
    *console.ROUTERS,
    health.router,
    root.router,
)
"""One router per resource."""


class _Application(Starlette):
    """Starlette with a single middleware, which also answers exceptions in place of Starlette's own two."""

    def build_middleware_stack(self) -> ASGIApp:
        """Return what is called for each request."""
        return RequestLifecycleMiddleware(self.router, self.state.services.metrics)


def create_app(services: Services, *, on_shutdown: Callable[[], None] | None = None) -> Starlette:
    """Return the application.

    Args:
        services: What its operations work with.
        on_shutdown: Called when the server stops.
    """

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, Any]]:
        yield {"connection_ended": services.metrics.connection_ended}
        services.hub.close()
        if on_shutdown is not None:
            on_shutdown()

    routes = [route for router in RESOURCES for route in router.routes]
    app = _Application(routes=routes, lifespan=lifespan)
    app.router.redirect_slashes = False
    app.state.services = services
    app.state.routes = routes
    app.state.description = JSONResponse(openapi.document(routes)).body
    return app
