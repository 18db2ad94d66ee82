"""A job store in the memory of one process, for tests."""

from __future__ import annotations

import time
from collections.abc import Callable

from stemline.jobs.store import Notify, Store, StoreOptions
from stemline.jobs.store.values import Deliver, discard_deliveries, discard_wake_ups
from stemline.testing.in_memory_store.attempts import InMemoryAttempts
from stemline.testing.in_memory_store.batches import InMemoryBatches
from stemline.testing.in_memory_store.callbacks import InMemoryHostSlots, InMemoryOutbox
from stemline.testing.in_memory_store.contents import Contents
from stemline.testing.in_memory_store.events import InMemoryEvents
from stemline.testing.in_memory_store.jobs import InMemoryJobs
from stemline.testing.in_memory_store.leftovers import InMemoryLeftovers
from stemline.testing.in_memory_store.nonces import InMemoryNonces
from stemline.testing.in_memory_store.probes import InMemoryProbes
from stemline.testing.in_memory_store.shares import InMemoryShares
from stemline.testing.in_memory_store.statistics import InMemoryStatistics
from stemline.testing.in_memory_store.tenants import InMemoryQueues, InMemoryTemplates, InMemoryTenants
from stemline.testing.in_memory_store.usage import InMemoryUsage
from stemline.testing.in_memory_store.workers import InMemoryWorkers

__all__ = ["InMemoryStore"]


def _system_clock() -> int:
    return time.time_ns() // 1000


class InMemoryStore(Store):
    """A job store in the memory of one process; it passes the same tests as the store in Redis.

    Safe to use from several threads. Meant for some thousand jobs: it searches them one by one.
    """

    def __init__(
        self,
        options: StoreOptions | None = None,
        *,
        notify: Notify = discard_wake_ups,
        deliver: Deliver = discard_deliveries,
        clock: Callable[[], int] = _system_clock,
    ) -> None:
        """Begin with an empty store.

        Args:
            options: Limits and times.
            notify: Called with wake-ups.
            deliver: Called with the ids of callbacks that are sent now.
            clock: µs since the epoch, such as a :class:`stemline.testing.FixedClock`.
        """
        contents = Contents(options or StoreOptions(), notify, clock, deliver)
        self._contents = contents
        self.jobs = InMemoryJobs(contents)
        self.attempts = InMemoryAttempts(contents)
        self.queues = InMemoryQueues(contents)
        self.templates = InMemoryTemplates(contents)
        self.tenants = InMemoryTenants(contents)
        self.outbox = InMemoryOutbox(contents)
        self.host_slots = InMemoryHostSlots(contents)
        self.batches = InMemoryBatches(contents)
        self.leftovers = InMemoryLeftovers(contents)
        self.events = InMemoryEvents(contents)
        self.shares = InMemoryShares(contents)
        self.probes = InMemoryProbes(contents)
        self.nonces = InMemoryNonces(contents)
        self.usage = InMemoryUsage(contents)
        self.workers = InMemoryWorkers(contents)
        self.statistics = InMemoryStatistics(contents)

    def now(self) -> int:
        return self._contents.clock()

    def close(self) -> None:
        """Do nothing: there are no connections."""
