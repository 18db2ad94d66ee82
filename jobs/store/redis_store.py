"""The job store in Valkey or Redis."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from stemline.jobs.store.connection import Connection
from stemline.jobs.store.events import RedisEvents
from stemline.jobs.store.host_slots import RedisHostSlots
from stemline.jobs.store.jobs import RedisJobs
from stemline.jobs.store.migrations import Migrations
from stemline.jobs.store.nonces import RedisNonces
from stemline.jobs.store.options import StoreOptions
from stemline.jobs.store.outbox import RedisOutbox
from stemline.jobs.store.protocols import Store
from stemline.jobs.store.queues import RedisQueues
from stemline.jobs.store.statistics import RedisStatistics
from stemline.jobs.store.templates import RedisTemplates
from stemline.jobs.store.tenants import RedisTenants
from stemline.jobs.store.values import Notify, discard_wake_ups


class RedisStore(Store):
    """A job store in Valkey or Redis, composed of one repository for each kind of record.

    One server with or without replicas; not a Redis Cluster.
    """

    def __init__(
        self,
        client: redis.Redis,
        options: StoreOptions | None = None,
        *,
        notify: Notify = discard_wake_ups,
        clock: Callable[[], int] | None = None,
    ) -> None:
        """Keep jobs on a server.

        Args:
            client: decodes answers to ``str``.
            options: limits and times.
            notify: sends wake-ups; must not raise.
            clock: µs since the epoch, instead of the server's clock; for tests.
        """
        self.client = client
        connection = Connection(client, options or StoreOptions(), notify=notify, clock=clock)
        self._connection = connection
        self._jobs = RedisJobs(connection)
        self._queues = RedisQueues(connection)
        self._templates = RedisTemplates(connection)
        self._tenants = RedisTenants(connection)
        self._outbox = RedisOutbox(connection)
        self._host_slots = RedisHostSlots(connection)
        self._events = RedisEvents(connection)
        self._nonces = RedisNonces(connection)
        self._statistics = RedisStatistics(connection)
        self.migrations = Migrations(connection)

    @classmethod
    def open(
        cls,
        url: str,
        options: StoreOptions | None = None,
        *,
        notify: Notify = discard_wake_ups,
        tls: Mapping[str, Any] | None = None,
    ) -> RedisStore:
        """Return a store on the server at a URL; connects at the first call.

        Args:
            url: of the server.
            options: limits and times.
            notify: sends wake-ups; must not raise.
            tls: for ``rediss://``, the arguments ``ssl_…`` of :class:`redis.SSLConnection`.
        """
        client = redis.Redis.from_url(
            url,
            **(tls or {}),
            decode_responses=True,
            socket_timeout=5,
            socket_connect_timeout=3,
            socket_keepalive=True,
            health_check_interval=25,
            # After a broken connection a command is sent again: every script may be repeated.
            retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), 2),
        )
        return cls(client, options, notify=notify)

    @property
    def jobs(self) -> RedisJobs:
        return self._jobs

    @property
    def queues(self) -> RedisQueues:
        return self._queues

    @property
    def templates(self) -> RedisTemplates:
        return self._templates

    @property
    def tenants(self) -> RedisTenants:
        return self._tenants

    @property
    def outbox(self) -> RedisOutbox:
        return self._outbox

    @property
    def host_slots(self) -> RedisHostSlots:
        return self._host_slots

    @property
    def events(self) -> RedisEvents:
        return self._events

    @property
    def nonces(self) -> RedisNonces:
        return self._nonces

    @property
    def statistics(self) -> RedisStatistics:
        return self._statistics

    def now(self) -> int:
        return self._connection.now()

    def close(self) -> None:
        self.client.close()
