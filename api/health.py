"""Whether the process lives, and whether it can do its work."""

from __future__ import annotations

import redis
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api import metrics
from api.call import Services

router = APIRouter()

_TIMEOUT_S = 2.0


@router.get("/healthz", name="healthz")
async def healthz() -> JSONResponse:
    """The process answers."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz", name="readyz")
def readyz(request: Request) -> JSONResponse:
    """The store and the broker answer."""
    services: Services = request.app.state.services
    settings = services.settings
    parts = {
        "store": _answers(settings.redis_url.get_secret_value()),
        "broker": _answers(settings.broker),
    }
    ready = all(parts.values())
    words = {name: "ok" if good else "unreachable" for name, good in parts.items()}
    return JSONResponse(
        {"status": "ok" if ready else "unavailable", **words}, status_code=200 if ready else 503
    )


@router.get("/metrics", name="metrics")
async def metrics_page() -> Response:
    """Numbers for Prometheus."""
    return metrics.page()


def _answers(url: str) -> bool:
    client = redis.Redis.from_url(url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S)
    try:
        return bool(client.ping())
    except redis.exceptions.RedisError:
        return False
    finally:
        client.close()
