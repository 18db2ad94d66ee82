"""Admission of requests: each is routed, verified and rate-limited, and only then is its body read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from enum import Enum
from typing import Annotated
from urllib.parse import parse_qsl, unquote_to_bytes

import structlog
from starlette.requests import Request

from stemline.api.bodies import BodyShare, chunks_of
from stemline.api.context import RequestContext
from stemline.api.credentials import Principal
from stemline.api.errors import wants_json
from stemline.api.hosts import normalise_host
from stemline.api.http.clients import client_of
from stemline.api.metrics import operation
from stemline.api.other_sites import check_host, check_origin
from stemline.api.services import Services
from stemline.jobs.errors import (
    Forbidden,
    InvalidContent,
    InvalidHost,
    RequestRefused,
    SignatureDoesNotMatch,
)
from stemline.jobs.policy import Operation
from stemline.runtime.settings import Settings
from stemline.wire.integrity import Integrity
from stemline.wire.signature import verify
from stemline.wire.signed_request import SignedRequest
from stemline.wire.spelling import spelled

OPERATIONS: Mapping[str, Operation] = {
    "create_jobs": Operation.SUBMIT,
    "console_check": Operation.SUBMIT,
    "retry_jobs": Operation.SUBMIT,
    "create_upload": Operation.UPLOAD,
    "resume_upload": Operation.UPLOAD,
    "complete_upload": Operation.UPLOAD,
    "abort_upload": Operation.UPLOAD,
    "cancel_jobs": Operation.CANCEL,
    "cancel_jobs_where": Operation.CANCEL,
    "retry_jobs_where": Operation.SUBMIT,
    "send_callbacks_where": Operation.CALLBACKS,
    "create_batch": Operation.SUBMIT,
    "retry_batch": Operation.SUBMIT,
    "pause_batch": Operation.CANCEL,
    "resume_batch": Operation.CANCEL,
    "cancel_batch": Operation.CANCEL,
    "update_queue": Operation.QUEUES,
    "update_asr_queue": Operation.QUEUES,
    "create_template": Operation.TEMPLATES,
    "update_template": Operation.TEMPLATES,
    "delete_template": Operation.TEMPLATES,
    "open_bucket": Operation.BUCKETS,
    "close_bucket": Operation.BUCKETS,
    "send_callbacks": Operation.CALLBACKS,
    "replay_callbacks": Operation.CALLBACKS,
    "replay_callbacks_where": Operation.CALLBACKS,
}
"""The operation that a credential must be allowed, by the name of the route; all other routes only read."""
MAX_QUERY_FIELDS = 200
TENANT_HEADER = "x-stemline-tenant"
"""Names the tenant, as ``<region>/<bucket>``, instead of the Host header."""
LINES = "application/x-ndjson"


class Access(Enum):
    """What an operation does, and so what its credential must be allowed and how its body is read."""

    READ = "reads"
    WRITE = "changes something; its body is read"
    STREAM = "changes something; JSON in lines is left to be read, and given to ``accept_body``"


ReadContext = Annotated[RequestContext, Access.READ]
WriteContext = Annotated[RequestContext, Access.WRITE]
StreamContext = Annotated[RequestContext, Access.STREAM]


@asynccontextmanager
async def admitted(request: Request, access: Access) -> AsyncIterator[RequestContext]:
    """Admit a request until it is answered; until then its body counts towards the budget.

    Raises:
        StemlineError: It is refused.
    """
    if access is Access.READ:
        yield await _receive(request, None)
        return
    services: Services = request.app.state.services
    with services.bodies.share() as share:
        streams = access is Access.STREAM and is_lines(request.headers)
        yield await _receive(request, share, streams=streams)


def is_lines(headers: Mapping[str, str]) -> bool:
    """Return whether a body is newline-delimited JSON."""
    return headers.get("content-type", "").partition(";")[0].strip().lower() == LINES


async def _receive(request: Request, share: BodyShare | None, *, streams: bool = False) -> RequestContext:
    """Route, verify and rate-limit a request, and only then read its body.

    Args:
        request: As received.
        share: Budget for the body of a request that changes something; None for one that only reads.
        streams: Whether the body is read later, by the operation.
    """
    services: Services = request.app.state.services
    signed = _signed_request(request)
    host = services.hosts.resolve(_host(request))
    structlog.contextvars.bind_contextvars(
        operation=operation(request.scope), tenant=f"{host.region}/{host.bucket or ''}"
    )
    principal = _principal(services, signed)
    if chosen := _chosen_tenant(signed, is_signed=principal is not None):
        host = services.hosts.choose(chosen)
        structlog.contextvars.bind_contextvars(tenant=chosen)
    integrity = Integrity.of(signed, required=principal is not None and principal.require_digest)
    if principal is None:
        if not services.settings.access.anonymous:
            raise Forbidden
        check_host(services.hosts, _host(request))
        if share is not None:
            check_origin(request.headers)
        principal = services.principals.anonymous
        services.limit.admit(client_of(request.client.host) if request.client else principal.id)
    else:
        policy = principal.policy
        services.limit.admit(principal.id, policy.rate_limit_per_s, policy.rate_limit_burst)
    structlog.contextvars.bind_contextvars(credential=principal.id)
    needed = Operation.READ if share is None else OPERATIONS[operation(request.scope)]
    principal.policy.check(needed, bucket=host.bucket, region=host.region)
    body = b""
    if share is not None and not streams:
        body = await _body(request, services.settings, principal.id, share)
    if not streams:
        integrity.check_body(body)
    context = RequestContext(
        services=services,
        request_id=request.scope["state"]["request_id"],
        host=host,
        principal=principal,
        params=signed.params,
        query=_query(signed.params),
        headers=request.headers,
        body=body,
        json=wants_json(request),
        integrity=integrity,
        share=share or BodyShare(services.bodies),
    )
    if streams:  # used when the body has proved to be the signed one
        await context.check_nonce()
    else:
        await context.use_nonce()
    return context


def _principal(services: Services, signed: SignedRequest) -> Principal | None:
    return verify(
        signed,
        services.principals.lookup,
        now=services.clock(),
        tolerance_s=services.settings.access.clock_tolerance_s,
        require_host=services.settings.access.require_signed_host,
        max_span_s=services.settings.access.signature_max_span_s,
    )


def _host(request: Request) -> str:
    """Return the Host header, which must agree with the host of an absolute-form request target."""
    hosts = request.headers.getlist("host")
    if len(hosts) != 1:
        raise InvalidHost("A request needs exactly one Host header.")
    authority = request.scope["state"].get("authority")
    if authority is not None and normalise_host(authority) != normalise_host(hosts[0]):
        raise InvalidHost("The request line and the Host header name different hosts.")
    return hosts[0]


def _chosen_tenant(signed: SignedRequest, *, is_signed: bool) -> str:
    """Return the tenant that a request names in a header of its own instead of the Host, or an empty text.

    A browser cannot choose its Host header, so a page for several buckets needs another way.

    Raises:
        SignatureDoesNotMatch: The signature does not cover the header, or there are several.
    """
    values = [value for name, value in signed.headers if name == TENANT_HEADER]
    if not values:
        return ""
    carried = signed.authorization
    is_covered = carried is not None and TENANT_HEADER in carried.header_list
    if len(values) > 1 or (is_signed and not is_covered):
        raise SignatureDoesNotMatch(f"The signature must cover {TENANT_HEADER}, which may be given once.")
    return values[0].decode("latin-1").strip()


def _signed_request(request: Request) -> SignedRequest:
    scope = request.scope
    try:
        path = unquote_to_bytes(scope["raw_path"]).decode("utf-8")
        params = parse_qsl(
            scope["query_string"].decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_QUERY_FIELDS,
            separator="&",
        )
    except UnicodeDecodeError:
        raise RequestRefused("The path or a query parameter is not UTF-8.") from None
    except ValueError:
        raise RequestRefused(f"A query may have at most {MAX_QUERY_FIELDS} parameters.") from None
    headers = [(name.decode("latin-1"), value) for name, value in scope["headers"]]
    return SignedRequest(method=scope["method"], path=path, params=params, headers=headers)


def _query(params: Sequence[tuple[str, str]]) -> dict[str, str]:
    query: dict[str, str] = {}
    for name, value in params:
        if value.strip():
            query.setdefault(spelled(name), value)
    return query


async def _body(request: Request, settings: Settings, credential: str, share: BodyShare) -> bytes:
    """Return the request body.

    Raises:
        InvalidContent: It is too large or too slow, or not complete.
        BodiesFull: Too many bodies are in memory.
    """
    most = settings.server.max_body_bytes
    chunks: list[bytes] = []
    async with aclosing(chunks_of(request, within_s=settings.server.body_timeout_s)) as body:
        async for chunk in body:
            if share.size + len(chunk) > most:
                raise InvalidContent(f"The request body is larger than {most} bytes.")
            share.grow(credential, len(chunk))
            chunks.append(chunk)
    return b"".join(chunks)
