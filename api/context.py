"""The context of an admitted request: who sent what, for which tenant, and the means to answer it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from stemline.api.bodies import BodyShare
from stemline.api.credentials import Principal
from stemline.api.hosts import ResolvedHost
from stemline.api.services import Services
from stemline.jobs.errors import AsrBucketUnBinded, InvalidContent, RequestReplayed, StoreUnavailable
from stemline.jobs.policy import Operation, Policy
from stemline.jobs.queue import QueueLimits
from stemline.jobs.store import Store
from stemline.jobs.tenant import Tenant
from stemline.jobs.usage import NO_BUDGET, WARNED_SHARE
from stemline.runtime.settings import Settings
from stemline.wire import codec
from stemline.wire.elements import Document, Table
from stemline.wire.integrity import Integrity
from stemline.wire.job_request import MQ_REGIONS

log = structlog.get_logger(__name__)

T = TypeVar("T")

SMALL_PAGE = 20
"""A request that shows at most this many records is like any other; one that shows more takes no turn."""
BUDGET_HEADER = "X-Stemline-Budget-Percent"
"""Says how much of the credential's budget for today is spent, where that is nearly all."""


@dataclass(frozen=True, slots=True)
class RequestContext:
    """One verified request and the means to answer it."""

    services: Services
    request_id: str
    host: ResolvedHost
    principal: Principal
    params: Sequence[tuple[str, str]]
    """Query parameters as they were given."""
    query: Mapping[str, str]
    """The same with names in lower case; those with an empty value are left out."""
    headers: Mapping[str, str]
    body: bytes
    json: bool
    """Whether the answer is JSON."""
    integrity: Integrity
    """What the signature says about the body."""
    share: BodyShare
    """Budget for a body that is read later."""
    budget_percent: list[int] = field(default_factory=list)
    """Share of the budget that was spent when it was checked, if it was nearly spent."""

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
            InvalidHost: The host names no bucket.
        """
        return self.host.tenant

    async def check_nonce(self) -> None:
        """Refuse a request whose signed nonce was used before.

        Raises:
            RequestReplayed: It was.
        """
        nonces, nonce = self.store.nonces, self.integrity.nonce
        if nonce is not None and await run_in_threadpool(nonces.is_used, self.principal.id, nonce):
            raise RequestReplayed

    async def use_nonce(self) -> None:
        """Use the signed nonce of the request, whose body is the signed one.

        Raises:
            RequestReplayed: It was used before.
        """
        if self.integrity.nonce is None:
            return
        # The clocks of several API servers may differ by as much as a client's may.
        tolerance_s = self.settings.access.clock_tolerance_s
        is_first = await run_in_threadpool(
            self.store.nonces.use,
            self.principal.id,
            self.integrity.nonce,
            request_id=self.request_id,
            ttl_s=math.ceil(self.integrity.valid_until - self.services.clock()) + tolerance_s,
        )
        if not is_first:
            raise RequestReplayed

    async def accept_body(self, digest: str) -> None:
        """Accept a body that was left to be read, by its SHA-256, hexadecimal.

        Raises:
            SignatureDoesNotMatch: It is not the one that was signed; the nonce stays unused.
            RequestReplayed: Another request used the nonce meanwhile.
        """
        self.integrity.check_digest(digest)
        await self.use_nonce()

    async def at_store(self, request: Request, call: Callable[[], T]) -> T:
        """Run a call that waits for the store of the bucket, and return its result.

        Raises:
            BucketBusy: Too many calls of the bucket wait already.
        """
        return await self.services.at_stores.run(request, str(self.tenant), call)

    async def of_many_records(self, request: Request, call: Callable[[], T]) -> T:
        """Run a call that reads or changes many records, and return its result.

        Raises:
            BucketBusy: Too many calls of the bucket run already.
        """
        return await self.services.of_many_records.run(request, str(self.tenant), call)

    async def of_page(self, request: Request, size: int, call: Callable[[], T]) -> T:
        """Run a call that reads and writes a page of records, and return its result.

        Its cost grows with the page and with what tenants put into their records, so the large pages of
        a bucket are read one after the other, and those of others meanwhile.

        Args:
            request: The request, whose turn others get if the page is large.
            size: Largest number of records.
            call: Reads the page and makes the response.

        Raises:
            BucketBusy: Too many large pages of the bucket are being read already.
        """
        if size <= SMALL_PAGE:
            return await run_in_threadpool(call)
        return await self.services.of_pages.run(request, str(self.tenant), call)

    def open_tenant(self) -> None:
        """Open the service for the tenant, where that happens by itself.

        Raises:
            AsrBucketUnBinded: The service was closed for the bucket, or does not open by itself.
            BindedBucketNumLimit: The region has reached its limit of buckets.
        """
        if not self.check_open():
            self.store.tenants.open(self.tenant, new_queue=self.new_queue, again=False)

    def check_open(self) -> bool:
        """Return whether the service is open for the tenant; if not, it opens by itself.

        Raises:
            AsrBucketUnBinded: The service was closed for the bucket, or does not open by itself.
        """
        is_open = self.store.tenants.is_open(self.tenant)
        if is_open is False or (is_open is None and not self.settings.tenants.auto_open):
            raise AsrBucketUnBinded
        return bool(is_open)

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
            BudgetSpent: It may not.
        """
        if self.policy.budget != NO_BUDGET:
            self.policy.check_budget(self.store.usage.spent(self.principal.id), jobs)

    def watch_budget(self) -> None:
        """Announce that the budget is nearly spent, if it is, counting the jobs of this request."""
        if self.policy.budget == NO_BUDGET:
            return
        try:
            share = self.policy.budget.share(self.store.usage.spent(self.principal.id))
            if share < WARNED_SHARE:
                return
            percent = int(share * 100)
            self.store.usage.warn(self.tenant, self.principal.id, percent)
        except StoreUnavailable:  # the jobs are stored, and answered in any case
            return
        log.warning("budget.nearly_spent", percent=percent)
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
            MissingContent: There is no body.
            InvalidContent: It cannot be parsed, or Content-MD5 does not match.
        """
        self._check_md5()
        return codec.parse(self.body, self.headers.get("content-type", ""))

    def respond(self, answer: Table, **values: Any) -> Response:
        """Return the response with an answer, in JSON or XML as the client asked.

        Args:
            answer: The elements of the answer.
            values: The values of its elements; ``request_id`` is known.
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
