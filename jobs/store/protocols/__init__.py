"""What the service needs of a job store, as protocols.

:class:`stemline.jobs.store.RedisStore` keeps jobs in Valkey or Redis;
:class:`stemline.testing.InMemoryStore` keeps them in the memory of a process, for tests. Both pass the tests
in ``tests/integration/jobs/test_store*.py``.

Every method may raise :class:`stemline.jobs.errors.StoreUnavailable`; a read or a repeated call of a write is
then safe. Times are µs since the epoch by the store's clock. Levels are JobLevels, 0 to 2.
"""

from __future__ import annotations

from typing import Protocol

from stemline.jobs.store.protocols.attempts import AttemptRepository
from stemline.jobs.store.protocols.batches import BatchRepository
from stemline.jobs.store.protocols.callbacks import HostSlots, Outbox
from stemline.jobs.store.protocols.events import EventRepository
from stemline.jobs.store.protocols.jobs import JobRepository
from stemline.jobs.store.protocols.leftovers import LeftoverRepository
from stemline.jobs.store.protocols.nonces import NonceRepository
from stemline.jobs.store.protocols.probes import ProbeRepository
from stemline.jobs.store.protocols.shares import ShareRepository
from stemline.jobs.store.protocols.tenants import QueueRepository, TemplateRepository, TenantRepository
from stemline.jobs.store.protocols.usage import UsageRepository
from stemline.jobs.store.protocols.workers import WorkerRepository
from stemline.jobs.store.snapshot import Snapshot, TenantLoad
from stemline.jobs.tenant import Tenant

__all__ = [
    "AttemptRepository",
    "BatchRepository",
    "EventRepository",
    "HostSlots",
    "JobRepository",
    "LeftoverRepository",
    "NonceRepository",
    "Outbox",
    "ProbeRepository",
    "QueueRepository",
    "ShareRepository",
    "Statistics",
    "Store",
    "TemplateRepository",
    "TenantRepository",
    "UsageRepository",
    "WorkerRepository",
]


class Statistics(Protocol):
    """Numbers about the whole store."""

    def read(self, max_queues: int = 100) -> Snapshot:
        """Return the current numbers.

        Args:
            max_queues: How many queues are described one by one; the totals contain all.
        """
        ...

    def of_tenant(self, tenant: Tenant) -> TenantLoad:
        """Return the jobs of a tenant by state, and of each of its queues."""
        ...


class Store(Protocol):
    """A job store; safe to use from several threads."""

    jobs: JobRepository
    """Jobs of tenants."""
    attempts: AttemptRepository
    """Attempts at jobs."""
    queues: QueueRepository
    """Queues of tenants."""
    templates: TemplateRepository
    """Templates of tenants."""
    tenants: TenantRepository
    """Buckets for which the service is open."""
    outbox: Outbox
    """Callbacks that are to be delivered."""
    host_slots: HostSlots
    """Limit on simultaneous deliveries to one host."""
    batches: BatchRepository
    """Batches of jobs."""
    leftovers: LeftoverRepository
    """What attempts left in buckets."""
    events: EventRepository
    """Events for clients."""
    shares: ShareRepository
    """Weights of credentials."""
    probes: ProbeRepository
    """Questions of dry runs."""
    nonces: NonceRepository
    """Nonces of signed requests."""
    usage: UsageRepository
    """What jobs took."""
    workers: WorkerRepository
    """Workers that report themselves."""
    statistics: Statistics
    """Numbers for metrics."""

    def now(self) -> int:
        """Return the store's time, µs since the epoch."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...
