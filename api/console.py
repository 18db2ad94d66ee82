"""The web console: jobs, stems and the queue. The browser signs its requests like any other client."""

from __future__ import annotations

import base64
import hashlib
import re
from html import escape
from pathlib import Path
from urllib.parse import urlsplit

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from stemline.api.context import ReadContext, RequestContext, Services
from stemline.jobs.errors import Forbidden, NoSuchResource
from stemline.jobs.job import Job
from stemline.runtime.settings import Settings
from stemline.storage import Buckets

router = APIRouter()

_PAGE = Path(__file__).with_name("console.html")
_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)
#: Validity of a link to a stem, s.
_LINK_S = 3600


@router.get("/console", name="console")
def console(request: Request) -> Response:
    """Serve the page; it shows data once the user has entered a credential."""
    services: Services = request.app.state.services
    flower = escape(services.settings.monitoring.flower_url or "", quote=True)
    page = _PAGE.read_text(encoding="utf-8").replace("{{flower}}", flower)
    return Response(page, media_type="text/html; charset=utf-8", headers=_security_headers(services.settings))


@router.get("/console/jobs/{job_id}", name="console_job")
def console_job(request: Request, context: ReadContext, job_id: str) -> Response:
    """Return what the page shows of a job beyond the wire: links to its stems, times in µs, worker.

    Raises:
        NoSuchResource: the bucket has no such job.
        Forbidden: the credential may not use the bucket of the stems.
    """
    (job,) = context.store.jobs.get(context.tenant, [job_id])
    if job is None:
        raise NoSuchResource
    return context.respond(
        {
            "JobId": job.id,
            "Created": str(job.created),
            "Started": str(job.started or ""),
            "Ended": str(job.ended or ""),
            "Attempt": str(job.attempt),
            "Worker": job.worker,
            "Device": job.device,
            "Stems": _stems(request, context, job),
        }
    )


def _stems(request: Request, context: RequestContext, job: Job) -> list[dict[str, str]]:
    if job.result is None:
        return []
    output = job.spec.output
    if not context.principal.may_use(output.bucket):
        raise Forbidden("This credential may not use the bucket of the stems.")
    buckets = _buckets(request, context.settings)
    return [
        {
            "Track": file.track.value,
            "Key": file.key,
            "Size": str(file.size),
            "Url": buckets.presign_get(output.region, output.bucket, file.key, expires_s=_LINK_S),
        }
        for file in job.result.files
    ]


def _buckets(request: Request, settings: Settings) -> Buckets:
    """Return the application's S3 clients; creating one takes longer than signing a thousand links."""
    state = request.app.state
    if not hasattr(state, "buckets"):
        state.buckets = Buckets(settings)
    buckets: Buckets = state.buckets
    return buckets


def _security_headers(settings: Settings) -> dict[str, str]:
    """Return headers that restrict the page to its own code and the configured servers."""
    allowed = {"script": "", "style": ""}
    for kind, text in _INLINE.findall(_PAGE.read_text(encoding="utf-8")):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        allowed[kind] = f"'sha256-{digest}'"
    stores = sorted(
        {
            "{0.scheme}://{0.netloc}".format(urlsplit(access.endpoint_url.replace("{region}", "*")))
            if access.endpoint_url
            else "https://*.amazonaws.com"
            for access in settings.storage.buckets.values()
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
