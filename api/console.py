"""The web console: jobs, stems and the queue. The browser signs its requests like any other client."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from stemline.api.context import ReadContext, RequestContext, Services
from stemline.jobs.errors import Forbidden, NoSuchResource
from stemline.jobs.job import Job
from stemline.storage import Buckets
from stemline.wire.elements import Element, Table
from stemline.wire.kinds import TEXT

router = APIRouter()

_PAGE = Path(__file__).with_name("console.html")
#: A policy knows wildcards only as the first label of a host.
_REGION_LABEL = re.compile(r"//[^/]*\{region\}[^./]*\.")
_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)
#: Validity of a link to a stem, s.
_LINK_S = 3600

#: What the page shows of a stem, and of a job beyond the wire; times in µs since the epoch.
_STEM = Table(
    "",
    Element("Track", TEXT, "file.track"),
    Element("Key", TEXT, "file.key"),
    Element("Size", TEXT, "file.size"),
    Element("Url", TEXT, "url"),
)
_JOB = Table(
    "",
    Element("JobId", TEXT, "job.id"),
    Element("Created", TEXT, "job.created"),
    Element("Started", TEXT, lambda values: values["job"].started or ""),
    Element("Ended", TEXT, lambda values: values["job"].ended or ""),
    Element("Attempt", TEXT, "job.attempt"),
    Element("Worker", TEXT, "job.worker"),
    Element("Device", TEXT, "job.device"),
    Element("Stems", _STEM, "stems", repeated=True),
)


@router.get("/console", name="console")
def console(request: Request) -> Response:
    """Serve the page; it shows data once the user has entered a credential."""
    services: Services = request.app.state.services
    flower = escape(services.settings.monitoring.flower_url or "", quote=True)
    page = _page().replace("{{flower}}", flower)
    return Response(page, media_type="text/html; charset=utf-8", headers=_security_headers(services.buckets))


@cache
def _page() -> str:
    return _PAGE.read_text(encoding="utf-8")


@cache
def _inline_hashes() -> dict[str, str]:
    """Return the hash of the page's script and of its style, as a Content-Security-Policy names them."""
    return {
        kind: f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
        for kind, text in _INLINE.findall(_page())
    }


@router.get("/console/jobs/{job_id}", name="console_job")
def console_job(context: ReadContext, job_id: str) -> Response:
    """Return what the page shows of a job beyond the wire: links to its stems, times in µs, worker.

    Raises:
        NoSuchResource: the bucket has no such job.
        Forbidden: the credential may not use the bucket of the stems.
    """
    (job,) = context.store.jobs.get(context.tenant, [job_id])
    if job is None:
        raise NoSuchResource
    return context.respond(_JOB, job=job, stems=_stems(context, job))


def _stems(context: RequestContext, job: Job) -> list[dict[str, Any]]:
    if job.result is None:
        return []
    output = job.spec.output
    if not context.policy.allows_bucket(output.bucket, output.region):
        raise Forbidden("This credential may not use the bucket of the stems.")
    buckets = context.services.buckets
    return [
        {
            "file": file,
            "url": buckets.presign_get(output.region, output.bucket, file.key, expires_s=_LINK_S),
        }
        for file in job.result.files
    ]


def _security_headers(buckets: Buckets) -> dict[str, str]:
    """Return headers that restrict the page to its own code and the configured servers."""
    allowed = _inline_hashes()
    stores = sorted(
        {
            "{0.scheme}://{0.netloc}".format(urlsplit(_REGION_LABEL.sub("//*.", url)))
            if url
            else "https://*.amazonaws.com"
            for url in buckets.endpoint_urls()
        }
    )
    sources = " ".join(["'self'", *stores])
    return {
        "Content-Security-Policy": (
            f"default-src 'none'; script-src {allowed['script']}; style-src {allowed['style']}; "
            f"connect-src {sources}; media-src {sources}; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
