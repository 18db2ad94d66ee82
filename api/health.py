"""Liveness and the OpenAPI description."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

router = APIRouter()


@router.api_route("/healthz", methods=["GET", "HEAD"], name="healthz")
async def healthz() -> JSONResponse:
    """Answer as long as the process runs."""
    return JSONResponse({"status": "ok"})


@router.get("/openapi.json", name="openapi")
async def description(request: Request) -> Response:
    """Return the description of the interface, OpenAPI 3.1."""
    return Response(request.app.state.description, media_type="application/json")
