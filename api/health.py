"""Liveness, readiness, metrics and the OpenAPI description."""

from __future__ import annotations

import hmac

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from stemline.api.context import Services
from stemline.jobs.errors import Forbidden
from stemline.runtime.store import probe

router = APIRouter()


@router.get("/healthz", name="healthz")
async def healthz() -> JSONResponse:
    """Answer as long as the process runs."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz", name="readyz")
def readyz(request: Request) -> JSONResponse:
    """Report whether the store and the broker take writes; else why not, such as ``READONLY``."""
    services: Services = request.app.state.services
    store = services.settings.store
    states = {"store": probe(store, store.url.get_secret_value()), "broker": probe(store, store.broker)}
    ready = set(states.values()) == {"ok"}
    return JSONResponse(
        {"status": "ok" if ready else "unavailable", **states}, status_code=200 if ready else 503
    )


@router.get("/openapi.json", name="openapi")
async def description(request: Request) -> JSONResponse:
    """Return the description of the interface, OpenAPI 3.1."""
    return JSONResponse(request.app.state.description)


@router.get("/metrics", name="metrics")
def metrics_page(request: Request) -> Response:
    """Return the metrics in Prometheus format; requires the metrics token if one is set."""
    services: Services = request.app.state.services
    token = services.settings.metrics.token
    if token is not None:
        given = request.headers.get("authorization", "").encode("latin-1")
        if not hmac.compare_digest(given, f"Bearer {token.get_secret_value()}".encode()):
            raise Forbidden
    return services.metrics.page()
