"""Buckets, queues and templates in memory."""

from __future__ import annotations

from dataclasses import replace

from stemline.jobs.errors import (
    AsrBucketUnBinded,
    ChangedMeanwhile,
    CreatedTemplateNumLimit,
    NoSuchBucket,
    NoSuchQueue,
    NoSuchTemplate,
    TemplateNameDuplicate,
)
from stemline.jobs.ids import new_template_id
from stemline.jobs.queue import NotifyConfig, Override, Queue, QueueLimits, Reserved, first_queue
from stemline.jobs.separation import VoiceSeparate
from stemline.jobs.states import QueueState
from stemline.jobs.store import (
    BucketFilter,
    Listing,
    QueueFilter,
    QueueRepository,
    TemplateFilter,
    TemplateRepository,
    TenantRepository,
)
from stemline.jobs.store.snapshot import LEVELS
from stemline.jobs.store.values import page_of
from stemline.jobs.template import Template
from stemline.jobs.tenant import Bucket, Tenant
from stemline.testing.in_memory_store.contents import Contents


class InMemoryTenants(TenantRepository):
    """Buckets in memory."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents

    def open(self, tenant: Tenant, *, new_queue: QueueLimits | None = None, again: bool = True) -> Bucket:
        with self._contents.lock:
            if not again and self.is_open(tenant) is False:
                raise AsrBucketUnBinded
            return Bucket(tenant, self._contents.open_tenant(tenant, new_queue).created)

    def close(self, tenant: Tenant) -> None:
        with self._contents.lock:
            if not self.is_open(tenant):
                raise NoSuchBucket("The speech service is not opened for this bucket.")
            self._contents.homes[tenant].is_open = False

    def is_open(self, tenant: Tenant) -> bool | None:
        with self._contents.lock:
            home = self._contents.homes.get(tenant)
            return None if home is None else home.is_open

    def search(self, which: BucketFilter) -> Listing[Bucket]:
        with self._contents.lock:
            buckets = [
                Bucket(tenant, home.created)
                for tenant, home in self._contents.homes.items()
                if home.is_open
                and which.allowed(tenant)
                and which.matches(tenant)
                and (which.known is None or tenant in which.known)
            ]
        return Listing(page_of(buckets, which.page, which.size), len(buckets))


class InMemoryQueues(QueueRepository):
    """Queues in memory."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents

    def search(self, tenant: Tenant, which: QueueFilter) -> Listing[Queue]:
        contents = self._contents
        with contents.lock:
            known = [queue for queue in contents.queues.values() if queue.tenant == tenant]
        if not known and contents.options.auto_open:
            known = [first_queue(tenant, contents.options.queue_limits, contents.clock())]
        return which.choose(known)

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
        weight: int | None = None,
        reserved: Reserved | None = None,
        override: Override | None = None,
        revision: int | None = None,
    ) -> Queue:
        contents = self._contents
        with contents.lock:
            queue = contents.queues.get(queue_id)
            if queue is None or queue.tenant != tenant:
                raise NoSuchQueue
            if revision not in {None, queue.revision}:
                raise ChangedMeanwhile
            temporary = queue.override if override is None else override if override.until else None
            contents.queues[queue_id] = changed = replace(
                queue,
                name=queue.name if name is None else name,
                state=state or queue.state,
                notify=notify or queue.notify,
                max_size=queue.max_size if max_size is None else max_size,
                max_concurrent=queue.max_concurrent if max_concurrent is None else max_concurrent,
                weight=queue.weight if weight is None else weight,
                reserved=queue.reserved if reserved is None else reserved,
                override=temporary,
                updated=contents.clock(),
                revision=queue.revision + 1,
            )
            contents.set_weight(queue_id, queue.turns, changed.turns)
            if changed.state is not queue.state:
                contents.publish_event(tenant, "queue", queue_id, changed.state)
            contents.refresh(queue_id)
            found = [
                wake_up
                for level in sorted(LEVELS, reverse=True)
                for wake_up in contents.wake_ups(queue_id, level, 1000)
            ]
        if found:
            contents.notify(found)
        return changed


class InMemoryTemplates(TemplateRepository):
    """Templates in memory."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents

    def get(self, tenant: Tenant, template_id: str) -> Template | None:
        with self._contents.lock:
            found = self._contents.templates.get(template_id)
        return found if found and found.tenant == tenant else None

    def search(self, tenant: Tenant, which: TemplateFilter) -> Listing[Template]:
        known = {template.id: template for template in self._of(tenant)[::-1]}
        templates = [
            template
            for template in known.values()
            if (not which.ids or template.id in which.ids) and template.name.startswith(which.name_prefix)
        ]
        missing = tuple(template_id for template_id in which.ids if template_id not in known)
        return Listing(page_of(templates, which.page, which.size), len(templates), missing)

    def create(self, tenant: Tenant, name: str, separate: VoiceSeparate) -> Template:
        contents = self._contents
        with contents.lock:
            if len(self._of(tenant)) >= contents.options.templates_per_bucket:
                raise CreatedTemplateNumLimit
            self._check_name(tenant, name)
            now = contents.clock()
            template = Template(new_template_id(), tenant, name, separate, created=now, updated=now)
            contents.templates[template.id] = template
            return template

    def update(
        self,
        tenant: Tenant,
        template_id: str,
        *,
        name: str | None = None,
        separate: VoiceSeparate | None = None,
        revision: int | None = None,
    ) -> Template:
        contents = self._contents
        with contents.lock:
            template = self.get(tenant, template_id)
            if template is None:
                raise NoSuchTemplate
            if revision not in {None, template.revision}:
                raise ChangedMeanwhile
            if name and name != template.name:
                self._check_name(tenant, name)
            contents.templates[template_id] = changed = replace(
                template,
                name=name or template.name,
                separate=separate or template.separate,
                updated=contents.clock(),
                revision=template.revision + 1,
            )
            return changed

    def delete(self, tenant: Tenant, template_id: str) -> None:
        with self._contents.lock:
            if self.get(tenant, template_id) is None:
                raise NoSuchTemplate
            del self._contents.templates[template_id]

    def _of(self, tenant: Tenant) -> list[Template]:
        with self._contents.lock:
            return [template for template in self._contents.templates.values() if template.tenant == tenant]

    def _check_name(self, tenant: Tenant, name: str) -> None:
        """Check that a name is free.

        Raises:
            TemplateNameDuplicate: The tenant has a template of this name.
        """
        if any(template.name == name for template in self._of(tenant)):
            raise TemplateNameDuplicate
