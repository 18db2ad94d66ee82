"""Buckets for which the service is open, in Redis."""

from __future__ import annotations

from stemline.jobs.errors import BindedBucketNumLimit, NoSuchBucket
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

    def open(self, tenant: Tenant, *, new_queue: QueueLimits | None = None) -> Bucket:
        options = self._connection.options
        limits = new_queue or options.queue_limits
        answer = self._connection.run(
            "open",
            str(tenant),
            queue_id_of(tenant),
            limits.max_size,
            limits.max_concurrent,
            options.buckets_per_region,
        )
        if answer[0] == "limit":
            raise BindedBucketNumLimit
        return Bucket(tenant, int(answer[1]))

    def close(self, tenant: Tenant) -> None:
        if not self._connection.run("close", str(tenant)):
            raise NoSuchBucket("The speech service is not opened for this bucket.")

    def is_open(self, tenant: Tenant) -> bool:
        connection = self._connection
        value = connection.read(connection.client.hget, connection.key("tenant", str(tenant)), "open")
        return bool(value == "1")

    def search(self, which: BucketFilter) -> Listing[Bucket]:
        connection = self._connection
        names = connection.read(connection.client.zrange, connection.key("tenants"), 0, -1)
        wanted = [name for name in names if which.matches(records.tenant(name))]
        rows = zip(wanted, connection.hashes("tenant", wanted), strict=True)
        found = [records.bucket(name, record) for name, record in rows if record.get("open") == "1"]
        return Listing(page_of(found, which.page, which.size), len(found))
