"""The job store: the truth about every job, in Valkey, each change of it one Lua script.

``jobs.py`` keeps jobs, ``tenants.py`` buckets, queues and templates, ``outbox.py`` callbacks.
``lua/lib.lua`` lists every key and its type. One server with or without replicas; not a Redis Cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from stemline.jobs.store.base import Listing, Page, Repository, WakeUp, notify_nobody
from stemline.jobs.store.jobs import Idempotency, JobFilter, JobRepository
from stemline.jobs.store.outbox import Outbox, delivery_id
from stemline.jobs.store.tenants import (
    BucketFilter,
    QueueFilter,
    QueueRepository,
    TemplateFilter,
    TemplateRepository,
    TenantRepository,
)
from stemline.runtime.settings import Settings

__all__ = [
    "BucketFilter",
    "Idempotency",
    "JobFilter",
    "Listing",
    "Page",
    "QueueFilter",
    "Store",
    "TemplateFilter",
    "WakeUp",
    "delivery_id",
]


class Store(Repository):
    """Everything that is kept about jobs, in repositories; safe to use from several threads.

    Attributes:
        jobs: jobs and the life of their attempts.
        queues: queues of tenants.
        templates: templates of tenants.
        tenants: buckets for which the service is open.
        outbox: callbacks on their way.
    """

    def __init__(
        self,
        client: redis.Redis,
        settings: Settings,
        *,
        notify: Callable[[Sequence[WakeUp]], None] = notify_nobody,
        clock: Callable[[], int] | None = None,
    ) -> None:
        """See :class:`stemline.jobs.store.base.Repository`."""
        super().__init__(client, settings, notify=notify, clock=clock)
        self.jobs = JobRepository(client, settings, notify=notify, scripts=self.scripts)
        self.queues = QueueRepository(client, settings, notify=notify, scripts=self.scripts)
        self.templates = TemplateRepository(client, settings, notify=notify, scripts=self.scripts)
        self.tenants = TenantRepository(client, settings, notify=notify, scripts=self.scripts)
        self.outbox = Outbox(client, settings, scripts=self.scripts)

    @classmethod
    def open(cls, settings: Settings, *, notify: Callable[[Sequence[WakeUp]], None] = notify_nobody) -> Store:
        """A store on the server the settings name; nothing is sent yet."""
        client = redis.Redis.from_url(
            settings.store.url.get_secret_value(),
            decode_responses=True,
            socket_timeout=5,
            socket_connect_timeout=3,
            socket_keepalive=True,
            health_check_interval=25,
            # A broken connection is tried once more at once: the scripts that end a job may be repeated.
            retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), 2),
        )
        return cls(client, settings, notify=notify)

    def close(self) -> None:
        """Give the connections back."""
        self.client.close()
