"""Liveness, readiness, metrics and the OpenAPI description."""

from __future__ import annotations

import hmac

import redis
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from stemline.api.context import Services
from stemline.jobs.errors import Forbidden

router = APIRouter()

_TIMEOUT_S = 2.0


@router.get("/healthz", name="healthz")
async def healthz() -> JSONResponse:
    """Answer as long as the process runs."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz", name="readyz")
def readyz(request: Request) -> JSONResponse:
    """Report whether the store and the broker answer."""
    services: Services = request.app.state.services
    settings = services.settings
    services_up = {
        "store": _answers(settings.store.url.get_secret_value()),
        "broker": _answers(settings.store.broker),
    }
    ready = all(services_up.values())
    states = {name: "ok" if up else "unreachable" for name, up in services_up.items()}
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


def _answers(url: str) -> bool:
    client = redis.Redis.from_url(url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S)
    try:
        return bool(client.ping())
    except redis.exceptions.RedisError:
        return False
    finally:
        client.close()
