"""The root path, which is no part of the wire: it leads a browser to the console."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from stemline.api.routing import Router
from stemline.jobs.errors import NoSuchResource

router = Router()


@router.get("/", name="root", include_in_schema=False)
def root(request: Request) -> Response:
    """Lead a browser to the console.

    Raises:
        NoSuchResource: The client asks for no page.
    """
    if "text/html" not in request.headers.get("accept", ""):
        raise NoSuchResource
    return RedirectResponse("/console/")
