"""The job store: the record of every job, queue, template and callback.

``protocols/`` states what the service needs of a store. :class:`RedisStore` keeps it in Valkey or Redis,
where each change is one Lua script. ``lua/schema.lua`` describes the keys.
"""

from __future__ import annotations

from stemline.jobs.store.options import StoreOptions
from stemline.jobs.store.protocols import (
    AttemptRepository,
    BatchRepository,
    EventRepository,
    HostSlots,
    JobRepository,
    LeftoverRepository,
    NonceRepository,
    Outbox,
    ProbeRepository,
    QueueRepository,
    ShareRepository,
    Statistics,
    Store,
    TemplateRepository,
    TenantRepository,
    UsageRepository,
    WorkerRepository,
)
from stemline.jobs.store.redis_store import RedisStore
from stemline.jobs.store.snapshot import CallbackLoad, QueueLoad, QueueTotals, ServerStatus, Snapshot
from stemline.jobs.store.values import (
    BucketFilter,
    Counted,
    DeliveryFilter,
    Idempotency,
    JobFilter,
    Listing,
    Notify,
    Page,
    QueueFilter,
    Reuse,
    Slot,
    Submission,
    TemplateFilter,
    WakeUp,
    delivery_id,
)

__all__ = [
    "AttemptRepository",
    "BatchRepository",
    "BucketFilter",
    "CallbackLoad",
    "Counted",
    "DeliveryFilter",
    "EventRepository",
    "HostSlots",
    "Idempotency",
    "JobFilter",
    "JobRepository",
    "LeftoverRepository",
    "Listing",
    "NonceRepository",
    "Notify",
    "Outbox",
    "Page",
    "ProbeRepository",
    "QueueFilter",
    "QueueLoad",
    "QueueRepository",
    "QueueTotals",
    "RedisStore",
    "Reuse",
    "ServerStatus",
    "ShareRepository",
    "Slot",
    "Snapshot",
    "Statistics",
    "Store",
    "StoreOptions",
    "Submission",
    "TemplateFilter",
    "TemplateRepository",
    "TenantRepository",
    "UsageRepository",
    "WakeUp",
    "WorkerRepository",
    "delivery_id",
]
