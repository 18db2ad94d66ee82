"""Buckets for which the service is open, in Redis."""

from __future__ import annotations

from stemline.jobs.errors import AsrBucketUnBinded, BindedBucketNumLimit, NoSuchBucket
from stemline.jobs.ids import queue_id_of
from stemline.jobs.queue import QueueLimits
from stemline.jobs.store import records
from stemline.jobs.store.connection import Connection
from stemline.jobs.store.protocols import TenantRepository
from stemline.jobs.store.values import BucketFilter, Listing, page_of
from stemline.jobs.tenant import Bucket, Tenant


class RedisTenants(TenantRepository):
    """Buckets in Redis."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

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

    def _names(self, which: BucketFilter) -> list[str]:
        """Return tenants that were ever opened, the oldest first: those that are known, or all."""
        connection = self._connection
        key, client = connection.key("tenants"), connection.client
        if which.known is None:
            return [str(name) for name in connection.read(client.zrange, key, 0, -1)]
        names = [str(tenant) for tenant in which.known]
        opened = connection.read(client.zmscore, key, names) if names else []
        found = [(at, name) for at, name in zip(opened, names, strict=True) if at is not None]
        return [name for _, name in sorted(found)]

    def search(self, which: BucketFilter) -> Listing[Bucket]:
        connection = self._connection
        names = self._names(which)
        wanted = [name for name in names if which.matches(records.tenant(name))]
        rows = zip(wanted, connection.hashes("tenant", wanted), strict=True)
        found = [records.bucket(name, record) for name, record in rows if record.get("open") == "1"]
        return Listing(page_of(found, which.page, which.size), len(found))
