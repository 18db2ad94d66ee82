"""Buckets for which the service is opened, their queues and their templates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stemline.jobs.errors import (
    BindedBucketNumLimit,
    CreatedTemplateNumLimit,
    NoSuchBucket,
    NoSuchQueue,
    NoSuchTemplate,
    TemplateNameDuplicate,
)
from stemline.jobs.ids import new_queue_id, new_template_id
from stemline.jobs.queue import NotifyConfig, Queue
from stemline.jobs.separation import VoiceSeparate
from stemline.jobs.states import QueueState
from stemline.jobs.store import records
from stemline.jobs.store.base import Listing, Repository
from stemline.jobs.template import Template
from stemline.jobs.tenant import Bucket, Tenant


@dataclass(frozen=True, slots=True)
class QueueFilter:
    """Which queues a list shows; pages count from 1."""

    ids: tuple[str, ...] = ()
    state: QueueState | None = None
    page: int = 1
    size: int = 10


@dataclass(frozen=True, slots=True)
class TemplateFilter:
    """Which templates a list shows; pages count from 1."""

    ids: tuple[str, ...] = ()
    name_prefix: str = ""
    page: int = 1
    size: int = 10


@dataclass(frozen=True, slots=True)
class BucketFilter:
    """Which opened buckets a list shows; pages count from 1."""

    regions: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    name_part: str = ""
    page: int = 1
    size: int = 10


class TenantRepository(Repository):
    """The part of the store that knows for whom the service is opened."""

    def open(self, tenant: Tenant) -> Bucket:
        """Open the service; the same answer when it is open already.

        Raises:
            BindedBucketNumLimit: the region has as many as it may.
        """
        limits = self.settings.tenants
        sizes = (limits.queue_max_size, limits.queue_max_concurrent, limits.buckets_per_region)
        answer = self.scripts.run("open", str(tenant), new_queue_id(), *sizes, f"{tenant.region}/")
        if answer[0] == "limit":
            raise BindedBucketNumLimit
        return Bucket(tenant, int(answer[1]))

    def close(self, tenant: Tenant) -> None:
        """Refuse further submissions; jobs, queue and templates stay.

        Raises:
            NoSuchBucket: the service is not open for it.
        """
        if not self.is_open(tenant):
            raise NoSuchBucket("The speech service is not opened for this bucket.")
        self.reading(self.client.hset, self.scripts.key("tenant", str(tenant)), "open", "0")

    def is_open(self, tenant: Tenant) -> bool:
        """Whether the service is opened for a tenant."""
        return bool(self.reading(self.client.hget, self.scripts.key("tenant", str(tenant)), "open") == "1")

    def search(self, which: BucketFilter) -> Listing[Bucket]:
        """Opened buckets, oldest first."""
        names = self.reading(self.client.zrange, self.scripts.key("tenants"), 0, -1)
        with self.client.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.hgetall(self.scripts.key("tenant", name))
            found = zip(names, self.reading(pipe.execute), strict=True)
        buckets = [records.bucket(name, record) for name, record in found if record.get("open") == "1"]
        buckets = [
            b
            for b in buckets
            if (not which.regions or b.tenant.region in which.regions)
            and (not which.names or b.tenant.bucket in which.names)
            and which.name_part in b.tenant.bucket
        ]
        first = (which.page - 1) * which.size
        return Listing(buckets[first : first + which.size], len(buckets))


class QueueRepository(Repository):
    """The part of the store that keeps queues."""

    def search(self, tenant: Tenant, which: QueueFilter) -> Listing[Queue]:
        """A tenant's queues, oldest first."""
        known = self.reading(self.client.zrange, self.scripts.key("queues", str(tenant)), 0, -1)
        wanted = [q for q in known if not which.ids or q in which.ids]
        queues = [q for q in self._queues(wanted) if which.state in {None, q.state}]
        first = (which.page - 1) * which.size
        missing = tuple(i for i in which.ids if i not in known)
        return Listing(queues[first : first + which.size], len(queues), missing)

    def update(
        self,
        tenant: Tenant,
        queue_id: str,
        *,
        name: str | None = None,
        state: QueueState | None = None,
        notify: NotifyConfig | None = None,
        max_size: int | None = None,
        max_concurrent: int | None = None,
    ) -> Queue:
        """Change a queue; what is ``None`` stays.

        Pausing and resuming are one write: whether a waiting job shows ``Pause`` follows from its queue.

        Raises:
            NoSuchQueue: the tenant has no such queue.
        """
        changes: dict[str, str | int | None] = {
            "name": name,
            "state": state,
            "notify": records.text(records.NOTIFY, notify) if notify else None,
            "max_size": max_size,
            "max_concurrent": max_concurrent,
        }
        flat = [word for field, value in changes.items() if value is not None for word in (field, str(value))]
        answer = self.scripts.run("queue", str(tenant), queue_id, *flat)
        if answer[0] == "unknown":
            raise NoSuchQueue
        self.notify(answer[1])
        return self._queues([queue_id])[0]

    def _queues(self, ids: Sequence[str]) -> list[Queue]:
        with self.client.pipeline(transaction=False) as pipe:
            for queue_id in ids:
                pipe.hgetall(self.scripts.key("queue", queue_id))
            found = self.reading(pipe.execute) if ids else []
        return [records.queue(i, r) for i, r in zip(ids, found, strict=True)]


class TemplateRepository(Repository):
    """The part of the store that keeps templates."""

    def get(self, tenant: Tenant, template_id: str) -> Template | None:
        """A tenant's template."""
        found = self._templates([template_id])
        return found[0] if found and found[0].tenant == tenant else None

    def search(self, tenant: Tenant, which: TemplateFilter) -> Listing[Template]:
        """A tenant's templates, newest first."""
        known = self.reading(self.client.zrevrange, self.scripts.key("templates", str(tenant)), 0, -1)
        wanted = [t for t in known if not which.ids or t in which.ids]
        templates = [t for t in self._templates(wanted) if t.name.startswith(which.name_prefix)]
        first = (which.page - 1) * which.size
        missing = tuple(i for i in which.ids if i not in known)
        return Listing(templates[first : first + which.size], len(templates), missing)

    def create(self, tenant: Tenant, name: str, separate: VoiceSeparate) -> Template:
        """Keep separation parameters under a name.

        Raises:
            TemplateNameDuplicate: the name is taken.
            CreatedTemplateNumLimit: the tenant has as many as it may.
        """
        template_id = new_template_id()
        return self._write(tenant, template_id, "create", name, separate)

    def update(
        self,
        tenant: Tenant,
        template_id: str,
        *,
        name: str | None = None,
        separate: VoiceSeparate | None = None,
    ) -> Template:
        """Change a template; what is ``None`` stays. Jobs already submitted keep their copy.

        Raises:
            NoSuchTemplate: the tenant has no such template.
            TemplateNameDuplicate: the name is taken.
        """
        return self._write(tenant, template_id, "update", name, separate)

    def delete(self, tenant: Tenant, template_id: str) -> None:
        """Forget a template.

        Raises:
            NoSuchTemplate: the tenant has no such template.
        """
        if not self.scripts.run("delete_template", str(tenant), template_id):
            raise NoSuchTemplate

    def _write(
        self, tenant: Tenant, template_id: str, how: str, name: str | None, separate: VoiceSeparate | None
    ) -> Template:
        parameters = records.text(records.SEPARATE, separate) if separate else ""
        most = self.settings.tenants.max_templates
        answer = self.scripts.run("template", str(tenant), template_id, how, most, name or "", parameters)
        refusals = {
            "unknown": NoSuchTemplate,
            "duplicate": TemplateNameDuplicate,
            "limit": CreatedTemplateNumLimit,
        }
        if answer[0] in refusals:
            raise refusals[answer[0]]
        return self._templates([template_id])[0]

    def _templates(self, ids: Sequence[str]) -> list[Template]:
        with self.client.pipeline(transaction=False) as pipe:
            for template_id in ids:
                pipe.hgetall(self.scripts.key("template", template_id))
            found = self.reading(pipe.execute) if ids else []
        return [records.template(i, r) for i, r in zip(ids, found, strict=True) if r]
