"""The job store in Valkey or Redis."""

from __future__ import annotations

from collections.abc import Callable

import redis

from stemline.jobs.store.attempts import RedisAttempts
from stemline.jobs.store.batches import RedisBatches
from stemline.jobs.store.client import client_options
from stemline.jobs.store.connection import Connection
from stemline.jobs.store.events import RedisEvents
from stemline.jobs.store.host_slots import RedisHostSlots
from stemline.jobs.store.jobs import RedisJobs
from stemline.jobs.store.leftovers import RedisLeftovers
from stemline.jobs.store.migrations import Migrations
from stemline.jobs.store.nonces import RedisNonces
from stemline.jobs.store.options import StoreOptions
from stemline.jobs.store.outbox import RedisOutbox
from stemline.jobs.store.probes import RedisProbes
from stemline.jobs.store.protocols import Store
from stemline.jobs.store.queues import RedisQueues
from stemline.jobs.store.shares import RedisShares
from stemline.jobs.store.statistics import RedisStatistics
from stemline.jobs.store.templates import RedisTemplates
from stemline.jobs.store.tenants import RedisTenants
from stemline.jobs.store.usage import RedisUsage
from stemline.jobs.store.values import Deliver, Notify, discard_deliveries, discard_wake_ups
from stemline.jobs.store.workers import RedisWorkers


class RedisStore(Store):
    """A job store in Valkey or Redis, composed of one repository for each kind of record.

    One server, with or without replicas and Sentinels; not a Redis Cluster.
    """

    def __init__(
        self,
        client: redis.Redis,
        options: StoreOptions | None = None,
        *,
        notify: Notify = discard_wake_ups,
        deliver: Deliver = discard_deliveries,
        clock: Callable[[], int] | None = None,
    ) -> None:
        """Keep jobs on a server.

        Args:
            client: Decodes answers to ``str``.
            options: Limits and times.
            notify: Sends wake-ups; must not raise.
            deliver: Has callbacks delivered; must not raise.
            clock: µs since the epoch, instead of the server's clock; for tests.
        """
        self.client = client
        connection = Connection(
            client, options or StoreOptions(), notify=notify, deliver=deliver, clock=clock
        )
        self._connection = connection
        self.jobs = RedisJobs(connection)
        self.attempts = RedisAttempts(connection)
        self.queues = RedisQueues(connection)
        self.templates = RedisTemplates(connection)
        self.tenants = RedisTenants(connection)
        self.outbox = RedisOutbox(connection)
        self.host_slots = RedisHostSlots(connection)
        self.batches = RedisBatches(connection)
        self.leftovers = RedisLeftovers(connection)
        self.events = RedisEvents(connection)
        self.shares = RedisShares(connection)
        self.probes = RedisProbes(connection)
        self.nonces = RedisNonces(connection)
        self.usage = RedisUsage(connection)
        self.workers = RedisWorkers(connection)
        self.statistics = RedisStatistics(connection)
        self.migrations = Migrations(connection)

    @classmethod
    def open(
        cls,
        url: str,
        options: StoreOptions | None = None,
        *,
        notify: Notify = discard_wake_ups,
    ) -> RedisStore:
        """Return a store on the server at a URL; connects at the first call.

        Args:
            url: URL of the server.
            options: Limits and times.
            notify: Sends wake-ups; must not raise.
        """
        return cls(redis.Redis.from_url(url, **client_options()), options, notify=notify)

    def now(self) -> int:
        return self._connection.now()

    def close(self) -> None:
        self.client.close()
