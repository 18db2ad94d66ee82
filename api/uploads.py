"""Uploads of sources by clients without keys of the bucket, such as the console (docs/api.md, "Uploads")."""

from __future__ import annotations

import re
import secrets

from starlette.requests import Request
from starlette.responses import Response

from stemline.api.admission import WriteContext
from stemline.api.context import RequestContext
from stemline.api.routing import Router
from stemline.jobs.errors import Forbidden, RequestRefused
from stemline.storage import IncomingUpload
from stemline.wire.uploads import UPLOAD_REQUEST, UPLOADS
from stemline.wire.views import UPLOAD_ANSWER, UPLOADED

router = Router()

URLS_AT_ONCE = 100
"""Parts whose URLs an answer holds."""


@router.post("/uploads", name="create_upload")
async def create_upload(context: WriteContext, request: Request) -> Response:
    """Open an upload into a new folder of the bucket; the answer says where the parts are to be sent."""
    return await context.at_store(request, lambda: _create(context))


def _create(context: RequestContext) -> Response:
    fields = UPLOAD_REQUEST.read(context.fields())
    tenant = context.tenant
    _check_size(context, fields["size"])
    key = f"{context.settings.storage.upload_prefix}{secrets.token_hex(8)}/{fields['name']}"
    upload = context.services.buckets.incoming.begin(
        tenant.region, tenant.bucket, key, fields["size"], fields["content_type"]
    )
    return _answer(context, upload, received=set())


@router.put("/uploads", name="resume_upload")
async def resume_upload(context: WriteContext, request: Request) -> Response:
    """Say which parts of an upload are missing, with new URLs for the first hundred of them."""
    return await context.at_store(request, lambda: _resume(context))


def _resume(context: RequestContext) -> Response:
    upload = _named(context)
    return _answer(context, upload, received=set(context.services.buckets.incoming.received(upload)))


@router.post("/uploads/complete", name="complete_upload")
async def complete_upload(context: WriteContext, request: Request) -> Response:
    """Make an upload an object of the bucket, once all its parts have arrived."""
    return await context.at_store(request, lambda: _complete(context))


def _complete(context: RequestContext) -> Response:
    upload = _named(context)
    context.services.buckets.incoming.complete(upload)
    return context.respond(UPLOADED, upload=upload)


@router.delete("/uploads", name="abort_upload")
async def abort_upload(context: WriteContext, request: Request) -> Response:
    """Give an upload up and delete its parts."""
    await context.at_store(request, lambda: context.services.buckets.incoming.abort(_named(context)))
    return Response()


def _answer(context: RequestContext, upload: IncomingUpload, *, received: set[int]) -> Response:
    missing = [number for number in range(1, upload.part_count + 1) if number not in received]
    numbers = missing[:URLS_AT_ONCE]
    urls = context.services.buckets.incoming.urls(upload, numbers)
    parts = [{"number": number, "url": url} for number, url in zip(numbers, urls, strict=True)]
    shown = {"upload": upload, "received": len(received), "parts": parts}
    return context.respond(UPLOAD_ANSWER, upload=shown)


def _named(context: RequestContext) -> IncomingUpload:
    """Return the upload that the query names.

    Raises:
        RequestRefused: A parameter is missing or malformed.
        Forbidden: The key is not one that :func:`create_upload` gives.
    """
    query = UPLOADS.read_parameters(context.query)
    _check_size(context, query["size"])
    own = re.escape(context.settings.storage.upload_prefix) + r"[0-9a-f]{16}/[^/]+"
    if not re.fullmatch(own, query["key"]):
        raise Forbidden("The key is not that of an upload through this service.")
    tenant = context.tenant
    return IncomingUpload(tenant.region, tenant.bucket, **query)


def _check_size(context: RequestContext, size: int) -> None:
    most = context.settings.source.max_bytes
    if size > most:
        raise RequestRefused(f"A source may have at most {most} bytes.")
