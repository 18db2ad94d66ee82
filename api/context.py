"""The request context: every operation gets a request that is routed, verified, rate-limited and read."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qsl, unquote_to_bytes

import structlog
from fastapi import Depends
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from stemline.api.bodies import BodyBudget, BodyShare
from stemline.api.credentials import Principal, Principals
from stemline.api.errors import wants_json
from stemline.api.hosts import HostTable, ResolvedHost, normalise_host
from stemline.api.hub import EventHub
from stemline.api.limits import RateLimit
from stemline.api.long_requests import LongRequests, for_many_records, for_stores
from stemline.api.metrics import ApiMetrics, operation
from stemline.jobs.errors import (
    AsrBucketUnBinded,
    Forbidden,
    InvalidContent,
    InvalidHost,
    RequestRefused,
    RequestReplayed,
    SignatureDoesNotMatch,
)
from stemline.jobs.policy import Operation, Policy
from stemline.jobs.queue import QueueLimits
from stemline.jobs.store import Store
from stemline.jobs.tenant import Tenant
from stemline.jobs.usage import NO_BUDGET, WARNED_SHARE
from stemline.runtime.settings import Settings
from stemline.runtime.telemetry import Tracer
from stemline.storage import Buckets
from stemline.wire import codec
from stemline.wire.elements import Document, Table
from stemline.wire.integrity import Integrity
from stemline.wire.job_request import MQ_REGIONS
from stemline.wire.signature import SignedRequest, find_authorization, verify

log = structlog.get_logger(__name__)

T = TypeVar("T")

OPERATIONS: Mapping[str, Operation] = {
    "create_jobs": Operation.SUBMIT,
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
"""What a credential must be allowed, by the name of the route; everything else reads."""
MAX_QUERY_FIELDS = 200
BUDGET_HEADER = "X-Stemline-Budget-Percent"
"""Says how much of the credential's budget for today is spent, where that is nearly all."""
TENANT_HEADER = "x-stemline-tenant"
"""Names the tenant, as ``<region>/<bucket>``, instead of the Host header."""
LINES = "application/x-ndjson"


@dataclass(frozen=True, slots=True)
class Services:
    """Dependencies of the operations; one per application."""

    settings: Settings
    store: Store
    hosts: HostTable
    principals: Principals
    buckets: Buckets
    limit: RateLimit
    bodies: BodyBudget
    metrics: ApiMetrics
    tracer: Tracer
    hub: EventHub
    at_stores: LongRequests = field(default_factory=for_stores)
    of_many_records: LongRequests = field(default_factory=for_many_records)
    clock: Callable[[], float] = time.time
    """Unix seconds; signatures are checked against it."""


@dataclass(frozen=True, slots=True)
class RequestContext:
    """One verified request and the means to answer it."""

    services: Services
    request_id: str
    host: ResolvedHost
    principal: Principal
    query: Mapping[str, str]
    """Names in lower case; parameters with an empty value are left out."""
    headers: Mapping[str, str]
    body: bytes
    json: bool
    """Whether the answer is JSON."""
    integrity: Integrity
    """What the signature says about the body."""
    share: BodyShare
    """Room for a body that is left to be read."""
    budget_percent: list[int] = field(default_factory=list)
    """How much of the budget was spent when it was looked at, if that was nearly all."""

    @property
    def store(self) -> Store:
        """Return the job store."""
        return self.services.store

    @property
    def settings(self) -> Settings:
        """Return the settings."""
        return self.services.settings

    @property
    def mq_regions(self) -> tuple[str, ...]:
        """Return the allowed values of ``MqRegion``: the vendor's, and those of the settings."""
        regions = dict.fromkeys((*MQ_REGIONS, *self.settings.tdmq.endpoints))
        return tuple(region for region in regions if region != "*")

    @property
    def tenant(self) -> Tenant:
        """Return bucket and region of the Host header.

        Raises:
            InvalidHost: the host names no bucket.
        """
        return self.host.tenant

    async def at_store(self, request: Request, call: Callable[[], T]) -> T:
        """Return what a call returns that waits for the store of the bucket.

        Raises:
            BucketBusy: as many calls of the bucket wait as may.
        """
        return await self.services.at_stores.run(request, str(self.tenant), call)

    async def of_many_records(self, request: Request, call: Callable[[], T]) -> T:
        """Return what a call returns that reads or changes many records.

        Raises:
            BucketBusy: as many calls of the bucket run as may.
        """
        return await self.services.of_many_records.run(request, str(self.tenant), call)

    def open_tenant(self) -> None:
        """Open the service for the tenant, where that happens by itself.

        Raises:
            AsrBucketUnBinded: the service is not open for the bucket, and does not open by itself.
            BindedBucketNumLimit: the region has as many buckets as it may.
        """
        if self.store.tenants.is_open(self.tenant):
            return
        if not self.settings.tenants.auto_open:
            raise AsrBucketUnBinded
        self.store.tenants.open(self.tenant, new_queue=self.new_queue)

    @property
    def policy(self) -> Policy:
        """Return what the credential may do."""
        return self.principal.policy

    @property
    def known_tenants(self) -> tuple[Tenant, ...] | None:
        """All tenants that the credential may use, if its policy names their buckets; else ``None``."""
        names = self.policy.named_buckets
        if names is None:
            return None
        return tuple(Tenant(name, region) for region in self.settings.hosts.allowed_regions for name in names)

    def check_budget(self, jobs: int = 1) -> None:
        """Check that the credential may submit some more jobs today; they are not counted.

        Raises:
            BudgetSpent: it may not.
        """
        if self.policy.budget != NO_BUDGET:
            self.policy.check_budget(self.store.usage.spent(self.principal.id), jobs)

    def watch_budget(self) -> None:
        """Say that the budget of the credential is nearly spent, if it is; the store refuses what is over."""
        if self.policy.budget == NO_BUDGET:
            return
        share = self.policy.budget.share(self.store.usage.spent(self.principal.id))
        if not WARNED_SHARE <= share < 1:
            return
        percent = int(share * 100)
        log.warning("budget.nearly_spent", percent=percent)
        self.store.usage.warn(self.tenant, self.principal.id, percent)
        self.budget_percent.append(percent)

    def is_still_allowed(self) -> bool:
        """Return whether the credential of a long request is still valid and may still read."""
        services, principal = self.services, self.principal
        if principal is services.principals.anonymous:
            return True
        known = services.principals.lookup(principal.id)
        if known is None or known.secret != principal.secret:
            return False
        expired = known.expires_at is not None and services.clock() > known.expires_at
        allowed = known.policy.allows(Operation.READ) and known.policy.allows_tenant(self.tenant)
        return allowed and not expired

    @property
    def new_queue(self) -> QueueLimits:
        """Return the limits of the queue of a tenant that this request opens."""
        tenants = self.settings.tenants
        return self.policy.limits_of_new_queue(
            QueueLimits(tenants.queue_max_size, tenants.queue_max_concurrent)
        )

    def fields(self) -> codec.Tree:
        """Return the fields of the request body.

        Raises:
            MissingContent: there is no body.
            InvalidContent: it cannot be parsed, or Content-MD5 does not match.
        """
        self._check_md5()
        return codec.parse(self.body, self.headers.get("content-type", ""))

    def respond(self, answer: Table, **values: Any) -> Response:
        """Return the response with an answer, in JSON or XML as the client asked.

        Args:
            answer: the elements of the answer.
            values: the values of its elements; ``request_id`` is known.
        """
        values["request_id"] = self.request_id
        values["budget_percent"] = percent = max(self.budget_percent, default=None)
        headers = {} if percent is None else {BUDGET_HEADER: str(percent)}
        if self.json:
            content = codec.to_json(answer.write(values, Document.JSON_ANSWER))
            return Response(content, media_type=codec.JSON, headers=headers)
        extended = wants_additions(self.query, self.headers)
        tree = answer.write(values, Document.EXTENDED_XML_ANSWER if extended else Document.XML_ANSWER)
        return Response(codec.to_xml("Response", tree), media_type=codec.XML, headers=headers)

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


def wants_additions(query: Mapping[str, str], headers: Mapping[str, str]) -> bool:
    """Return whether a request asks for elements in XML that the vendor does not have."""
    return "1" in (query.get("additions"), headers.get("x-stemline-additions"))


async def _read_context(request: Request) -> RequestContext:
    return await _receive(request, None)


async def _write_context(request: Request) -> AsyncIterator[RequestContext]:
    services: Services = request.app.state.services
    with services.bodies.share() as share:
        yield await _receive(request, share)


async def _stream_context(request: Request) -> AsyncIterator[RequestContext]:
    services: Services = request.app.state.services
    with services.bodies.share() as share:
        yield await _receive(request, share, streams=is_lines(request.headers))


def is_lines(headers: Mapping[str, str]) -> bool:
    """Return whether a body is JSON in lines."""
    return headers.get("content-type", "").partition(";")[0].strip().lower() == LINES


ReadContext = Annotated[RequestContext, Depends(_read_context)]
"""Context of a request that changes nothing; a read-only credential is enough."""
WriteContext = Annotated[RequestContext, Depends(_write_context)]
"""Context of a request that changes something; its body is read."""
StreamContext = Annotated[RequestContext, Depends(_stream_context)]
"""The same, but JSON in lines is left to be read, and its digest to be checked by ``integrity``."""


async def _receive(request: Request, share: BodyShare | None, *, streams: bool = False) -> RequestContext:
    """Route, verify and rate-limit a request, and only then read its body.

    Args:
        request: as received.
        share: room for the body of a request that changes something; None for one that only reads.
        streams: whether the body is left to be read.
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
        principal = services.principals.anonymous
        services.limit.admit(request.client.host if request.client else principal.id)
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
    await _use_nonce(services, principal, integrity, request.scope["state"]["request_id"])
    return RequestContext(
        services=services,
        request_id=request.scope["state"]["request_id"],
        host=host,
        principal=principal,
        query=_query(signed.params),
        headers=request.headers,
        body=body,
        json=wants_json(request),
        integrity=integrity,
        share=share or BodyShare(services.bodies),
    )


def _principal(services: Services, signed: SignedRequest) -> Principal | None:
    return verify(
        signed,
        services.principals.lookup,
        now=services.clock(),
        tolerance_s=services.settings.access.clock_tolerance_s,
        require_host=services.settings.access.require_signed_host,
        max_span_s=services.settings.access.signature_max_span_s,
    )


async def _use_nonce(services: Services, principal: Principal, integrity: Integrity, request_id: str) -> None:
    """Refuse a request whose signed nonce was used before.

    Raises:
        RequestReplayed: it was.
    """
    if integrity.nonce is None:
        return
    # The clocks of several API servers may differ by as much as a client's may.
    ttl_s = math.ceil(integrity.valid_until - services.clock()) + services.settings.access.clock_tolerance_s
    is_first = await run_in_threadpool(
        services.store.nonces.use, principal.id, integrity.nonce, request_id=request_id, ttl_s=ttl_s
    )
    if not is_first:
        raise RequestReplayed


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
    """Return the tenant that a request names in a header instead of the Host, or an empty text.

    A browser cannot choose its Host header, so a page for several buckets needs another way.

    Raises:
        SignatureDoesNotMatch: the signature does not cover the header, or there are several.
    """
    values = [value for name, value in signed.headers if name == TENANT_HEADER]
    if not values:
        return ""
    carried = find_authorization(signed)
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


def _query(params: list[tuple[str, str]] | Any) -> dict[str, str]:
    query: dict[str, str] = {}
    for name, value in params:
        if value.strip():
            query.setdefault(name.lower(), value)
    return query


async def _body(request: Request, settings: Settings, credential: str, share: BodyShare) -> bytes:
    """Return the request body.

    Raises:
        InvalidContent: it is too large or too slow, or not complete.
        BodiesFull: too many bodies are in memory.
    """
    most = settings.server.max_body_bytes
    chunks: list[bytes] = []
    try:
        async with asyncio.timeout(settings.server.body_timeout_s):
            async for chunk in request.stream():
                if share.size + len(chunk) > most:
                    raise InvalidContent(f"The request body is larger than {most} bytes.")
                share.grow(credential, len(chunk))
                chunks.append(chunk)
    except ClientDisconnect:
        raise InvalidContent("The request body is not complete, or its chunks are not valid.") from None
    except TimeoutError:
        limit = settings.server.body_timeout_s
        raise InvalidContent(f"The body did not arrive within {limit:g} s.") from None
    return b"".join(chunks)
