"""Liveness and the OpenAPI description."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from stemline.api.routing import Router

router = Router()


@router.route(["GET", "HEAD"], "/healthz", name="healthz")
async def healthz() -> JSONResponse:
    """Answer as long as the process runs."""
    return JSONResponse({"status": "ok"})


@router.get("/openapi.json", name="openapi")
async def description(request: Request) -> Response:
    """Return the description of the interface, OpenAPI 3.1."""
    return Response(request.app.state.description, media_type="application/json")
