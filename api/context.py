"""A request that was routed, verified, counted and read: what every operation gets."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import parse_qsl, unquote_to_bytes

import structlog
from fastapi import Depends
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from stemline.api.credentials import Credentials, Principal, anonymous
from stemline.api.errors import wants_json
from stemline.api.hosts import Route, Router, bare
from stemline.api.limits import RateLimit
from stemline.api.metrics import operation
from stemline.jobs.errors import Forbidden, InvalidContent, InvalidHost, RequestRefused
from stemline.jobs.store import Store
from stemline.jobs.tenant import Tenant
from stemline.runtime.settings import Settings
from stemline.runtime.store_metrics import StoreCollector
from stemline.runtime.tracing import Tracer
from stemline.wire import codec
from stemline.wire.signature import SignedRequest, verify

MAX_QUERY_FIELDS = 200
_DRAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Services:
    """What the operations work with; one per application."""

    settings: Settings
    store: Store
    router: Router
    credentials: Credentials
    limit: RateLimit
    collector: StoreCollector
    tracer: Tracer
    clock: Callable[[], float] = time.time
    """Unix seconds; signatures are held against it."""


@dataclass(frozen=True, slots=True)
class Call:
    """One verified request."""

    services: Services
    request_id: str
    route: Route
    principal: Principal
    query: Mapping[str, str]
    """Names in lower case; what is empty counts as absent."""
    headers: Mapping[str, str]
    body: bytes
    json: bool
    """Whether the answer is JSON."""

    @property
    def store(self) -> Store:
        """The job store."""
        return self.services.store

    @property
    def settings(self) -> Settings:
        """The settings."""
        return self.services.settings

    @property
    def tenant(self) -> Tenant:
        """Bucket and region of the Host header.

        Raises:
            InvalidHost: the host names no bucket.
        """
        return self.route.tenant

    def fields(self) -> codec.Fields:
        """The fields of the body.

        Raises:
            MissingContent: there is no body.
            InvalidContent: it cannot be parsed, or is not what Content-MD5 says.
        """
        self._check_md5()
        return codec.parse(self.body, self.headers.get("content-type", ""))

    def answer(self, tree: dict[str, Any]) -> Response:
        """The answer in the form the client asked for."""
        if self.json:
            return Response(codec.to_json(tree), media_type=codec.JSON)
        return Response(codec.to_xml("Response", tree), media_type=codec.XML)

    def numbered(self, tree: dict[str, Any]) -> Response:
        """The answer with the request id as its first child, as all but jobs have it."""
        return self.answer({"RequestId": self.request_id, **tree})

    def _check_md5(self) -> None:
        claimed = self.headers.get("content-md5")
        if not claimed:
            return
        try:
            digest = base64.b64decode(claimed, validate=True)
        except (binascii.Error, ValueError):
            digest = b""
        if digest != hashlib.md5(self.body, usedforsecurity=False).digest():
            raise InvalidContent("Content-MD5 does not match the request body.")


async def _reading(request: Request) -> Call:
    return await _receive(request, write=False)


async def _writing(request: Request) -> Call:
    return await _receive(request, write=True)


Reading = Annotated[Call, Depends(_reading)]
"""A call that changes nothing; a read-only credential is enough."""
Writing = Annotated[Call, Depends(_writing)]
"""A call that changes something; its body is read."""


async def _receive(request: Request, *, write: bool) -> Call:
    """Route, verify and count a request, then read its body: strangers never make us keep theirs."""
    services: Services = request.app.state.services
    signed = _signed_request(request)
    route = services.router.resolve(_host(request))
    structlog.contextvars.bind_contextvars(
        operation=operation(request.scope), tenant=f"{route.region}/{route.bucket or ''}"
    )
    principal = _principal(services, signed)
    if principal is None:
        if not services.settings.access.anonymous:
            raise Forbidden
        principal = anonymous()
        services.limit.admit(request.client.host if request.client else principal.id)
    else:
        services.limit.admit(principal.id)
    structlog.contextvars.bind_contextvars(credential=principal.id)
    principal.check(bucket=route.bucket, write=write)
    return Call(
        services=services,
        request_id=request.scope["state"]["request_id"],
        route=route,
        principal=principal,
        query=_query(signed.params),
        headers=request.headers,
        body=await _body(request, services.settings) if write else b"",
        json=wants_json(request),
    )


def _principal(services: Services, signed: SignedRequest) -> Principal | None:
    return verify(
        signed,
        services.credentials.lookup,
        now=services.clock(),
        tolerance_s=services.settings.access.clock_tolerance_s,
        require_host=services.settings.access.require_signed_host,
    )


def _host(request: Request) -> str:
    """The Host header; a request line that names another host is a trick."""
    hosts = request.headers.getlist("host")
    if len(hosts) != 1:
        raise InvalidHost("A request needs exactly one Host header.")
    authority = request.scope["state"].get("authority")
    if authority is not None and bare(authority) != bare(hosts[0]):
        raise InvalidHost("The request line and the Host header name different hosts.")
    return hosts[0]


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


def _query(params: list[tuple[str, str]] | Any) -> dict[str, str]:
    query: dict[str, str] = {}
    for name, value in params:
        if value.strip():
            query.setdefault(name.lower(), value)
    return query


async def _body(request: Request, settings: Settings) -> bytes:
    """The request body, if it is small and comes in time.

    Raises:
        InvalidContent: it is too large, or did not come within the time allowed.
    """
    most = settings.server.max_body_bytes
    chunks: list[bytes] = []
    size = 0
    stream = request.stream()
    try:
        async with asyncio.timeout(settings.server.body_timeout_s):
            async for chunk in stream:
                size += len(chunk)
                if size > most:
                    break
                chunks.append(chunk)
            else:
                return b"".join(chunks)
    except ClientDisconnect:
        raise InvalidContent("The connection was closed within the request body.") from None
    except TimeoutError:
        request.scope["state"]["close"] = True
        limit = settings.server.body_timeout_s
        raise InvalidContent(f"The body did not arrive within {limit:g} s.") from None
    request.scope["state"]["close"] = True
    try:  # A client that is still sending would lose the answer: listen a moment longer.
        async with asyncio.timeout(_DRAIN_S):
            async for _ in stream:
                pass
    except (TimeoutError, ClientDisconnect):
        pass
    raise InvalidContent(f"The request body is larger than {most} bytes.")
