"""The root path, which is no part of the wire: it leads a browser to the console."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from stemline.jobs.errors import NoSuchResource

router = APIRouter()


@router.get("/", name="root", include_in_schema=False)
def root(request: Request) -> Response:
    """Lead a browser to the console.

    Raises:
        NoSuchResource: the client asks for no page.
    """
    if "text/html" not in request.headers.get("accept", ""):
        raise NoSuchResource
    return RedirectResponse("/console/")
