"""The files of the console: one page, modules, styles. Nothing is loaded from other servers."""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from stemline.api.routing import Router
from stemline.api.services import Services
from stemline.jobs.errors import NoSuchResource
from stemline.storage import Buckets

router = Router()

_FOLDER = Path(__file__).with_name("static")
_PAGE = "index.html"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".md": "text/plain; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
}
#: A policy knows wildcards only as the first label of a host.
_REGION_LABEL = re.compile(r"//[^/]*\{region\}[^./]*\.")

MAX_STORES: Final = 50
"""Stores that the policy names: a header of some kilobytes is refused by proxies."""

#: gzip, and not with a weight of 0, which refuses it.
_ACCEPTS_GZIP = re.compile(r"(?:^|,)\s*(?:x-)?gzip\s*(?:,|$|;(?!\s*q=0(?:\.0*)?\s*(?:,|$)))", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file as it is served."""

    content: bytes
    compressed: bytes
    media_type: str
    etag: str


@router.get("/console", name="console")
def console(request: Request) -> Response:
    """Serve the page of the console, which shows data once the user has given it a credential."""
    return _file(request, _PAGE)


@router.get("/console/static/{name:path}", name="console_file")
def console_file(request: Request, name: str) -> Response:
    """Serve a file of the console.

    Raises:
        NoSuchResource: There is no such file.
    """
    return _file(request, name)


@cache
def static_files() -> Mapping[str, StaticFile]:
    """Return all files by their names; they are read once."""
    files = {}
    for path in sorted(_FOLDER.rglob("*")):
        if media_type := _TYPES.get(path.suffix):
            content = path.read_bytes()
            etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
            files[path.relative_to(_FOLDER).as_posix()] = StaticFile(
                content, gzip.compress(content, 9, mtime=0), media_type, etag
            )
    return files


def _file(request: Request, name: str) -> Response:
    found = static_files().get(name)
    if found is None:
        raise NoSuchResource
    services: Services = request.app.state.services
    headers = security_headers(services.buckets) | {"ETag": found.etag, "Vary": "Accept-Encoding"}
    known = request.headers.get("if-none-match", "")
    if found.etag in known or known.strip() == "*":
        return Response(status_code=304, headers=headers)
    if _ACCEPTS_GZIP.search(request.headers.get("accept-encoding", "")):
        headers["Content-Encoding"] = "gzip"
        return Response(found.compressed, media_type=found.media_type, headers=headers)
    return Response(found.content, media_type=found.media_type, headers=headers)


def security_headers(buckets: Buckets) -> dict[str, str]:
    """Return headers that restrict the page to its own files and the configured servers."""
    stores = sorted(
        {
            "{0.scheme}://{0.netloc}".format(urlsplit(_REGION_LABEL.sub("//*.", url)))
            if url
            else "https://*.amazonaws.com"
            for url in buckets.endpoint_urls()
        }
    )
    if len(stores) > MAX_STORES:
        stores = sorted({f"{store.partition(':')[0]}:" for store in stores})
    connections = " ".join(["'self'", *stores])
    return {
        "Content-Security-Policy": (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
            f"connect-src {connections}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
            "require-trusted-types-for 'script'; trusted-types 'none'"
        ),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Opener-Policy": "same-origin",
        # Asked for again each time, and answered with 304: pages and modules of two releases never mix.
        "Cache-Control": "no-cache",
    }
