"""Buckets for which the service is open, in Redis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from stemline.jobs.errors import AsrBucketUnBinded, BindedBucketNumLimit, NoSuchBucket
from stemline.jobs.ids import queue_id_of
from stemline.jobs.queue import QueueLimits
from stemline.jobs.store import records
from stemline.jobs.store.connection import Connection
from stemline.jobs.store.protocols import TenantRepository
from stemline.jobs.store.values import BucketFilter, Listing, page_of
from stemline.jobs.tenant import Bucket, Tenant

_CREDENTIALS_KEPT: Final = 64
"""For so many it is remembered which tenants they may see."""


@dataclass(frozen=True, slots=True)
class _Directory:
    """All open tenants, the oldest first, as they were read last."""

    mark: str
    """Another one once a tenant was opened or closed."""
    tenants: Sequence[Tenant]
    seen: dict[Callable[[Tenant], bool], Sequence[Tenant]] = field(default_factory=dict)
    """Those that may be seen, by the rule."""


class RedisTenants(TenantRepository):
    """Buckets in Redis."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known = _Directory("", ())

    def open(self, tenant: Tenant, *, new_queue: QueueLimits | None = None, again: bool = True) -> Bucket:
        options = self._connection.options
        limits = new_queue or options.queue_limits
        answer = self._connection.run(
            "open",
            str(tenant),
            queue_id_of(tenant),
            limits.max_size,
            limits.max_concurrent,
            options.buckets_per_region,
            int(again),
        )
        if answer[0] == "closed":
            raise AsrBucketUnBinded
        if answer[0] == "limit":
            raise BindedBucketNumLimit
        return Bucket(tenant, int(answer[1]))

    def close(self, tenant: Tenant) -> None:
        if not self._connection.run("close", str(tenant)):
            raise NoSuchBucket("The speech service is not opened for this bucket.")

    def is_open(self, tenant: Tenant) -> bool | None:
        connection = self._connection
        value = connection.read(connection.client.hget, connection.key("tenant", str(tenant)), "open")
        return None if value is None else str(value) == "1"

    def search(self, which: BucketFilter) -> Listing[Bucket]:
        if which.known is None:
            seen = self._allowed(which.allowed)
        else:
            seen = self._opened([tenant for tenant in which.known if which.allowed(tenant)])
        found = [tenant for tenant in seen if which.matches(tenant)]
        page = page_of(found, which.page, which.size)
        rows = self._connection.hashes("tenant", map(str, page))
        # What was closed, or lost in a failover, since then is left out.
        items = [
            records.bucket(str(tenant), row)
            for tenant, row in zip(page, rows, strict=True)
            if row.get("open") == "1"
        ]
        return Listing(items, len(found))

    def _opened(self, tenants: Sequence[Tenant]) -> list[Tenant]:
        """Return those of some tenants that are open, the oldest first."""
        rows = zip(tenants, self._connection.hashes("tenant", map(str, tenants)), strict=True)
        opened = [
            (int(row["created"]), str(tenant), tenant) for tenant, row in rows if row.get("open") == "1"
        ]
        return [tenant for *_, tenant in sorted(opened)]

    def _allowed(self, allowed: Callable[[Tenant], bool]) -> Sequence[Tenant]:
        """Return the open tenants that may be seen, the oldest first."""
        directory = self._directory()
        seen = directory.seen.get(allowed)
        if seen is None:
            if len(directory.seen) >= _CREDENTIALS_KEPT:
                directory.seen.clear()
            seen = directory.seen[allowed] = [tenant for tenant in directory.tenants if allowed(tenant)]
        return seen

    def _directory(self) -> _Directory:
        """Return all open tenants; they are read again only after one was opened or closed."""
        known = self._known
        mark, *read = self._connection.run("tenants", known.mark)
        if read:
            names, closed = read[0], frozenset(read[1])
            tenants = [records.tenant(name) for name in names if name not in closed]
            known = self._known = _Directory(mark, tenants)
        return known
