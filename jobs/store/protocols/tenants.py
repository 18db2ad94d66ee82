"""Protocols of what belongs to a tenant: queues, templates and the bucket itself."""

from __future__ import annotations

from typing import Protocol

from stemline.jobs.queue import NotifyConfig, Override, Queue, QueueLimits, Reserved
from stemline.jobs.separation import VoiceSeparate
from stemline.jobs.states import QueueState
from stemline.jobs.store.values import BucketFilter, Listing, QueueFilter, TemplateFilter
from stemline.jobs.template import Template
from stemline.jobs.tenant import Bucket, Tenant


class QueueRepository(Protocol):
    """Queues of tenants."""

    def search(self, tenant: Tenant, which: QueueFilter) -> Listing[Queue]:
        """Return a tenant's queues, oldest first.

        Where the service opens by itself, a tenant that is not known has the queue that opening it creates.
        """
        ...

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
        """Change the given values of a queue.

        Pausing and resuming is a single write: a waiting job shows ``Pause`` while its queue is paused.
        Values that were made from those that a queue had are given with its revision.

        Args:
            tenant: Its owner.
            queue_id: The queue.
            name: For people.
            state: Whether it starts jobs.
            notify: Callback defaults.
            max_size: Waiting jobs that it may hold.
            max_concurrent: Jobs that may run at the same time; after an override, if there is one.
            weight: Turns that it gets in proportion to other queues; likewise.
            reserved: Slots for level 1 and for level 2 alone.
            override: Limits for a time, in place of an earlier override; one whose end is 0 ends that.
            revision: Revision of the queue when it was read.

        Raises:
            NoSuchQueue: The tenant has no such queue.
            ChangedMeanwhile: The queue has another revision.
        """
        ...


class TemplateRepository(Protocol):
    """Templates of tenants."""

    def get(self, tenant: Tenant, template_id: str) -> Template | None:
        """Return a tenant's template."""
        ...

    def search(self, tenant: Tenant, which: TemplateFilter) -> Listing[Template]:
        """Return a tenant's templates, newest first."""
        ...

    def create(self, tenant: Tenant, name: str, separate: VoiceSeparate) -> Template:
        """Store separation parameters under a name.

        Raises:
            TemplateNameDuplicate: The name is taken.
            CreatedTemplateNumLimit: The tenant has as many templates as it may.
        """
        ...

    def update(
        self,
        tenant: Tenant,
        template_id: str,
        *,
        name: str | None = None,
        separate: VoiceSeparate | None = None,
        revision: int | None = None,
    ) -> Template:
        """Change the given values of a template; submitted jobs keep their copy.

        Values that were made from those that a template had are given with its revision.

        Raises:
            NoSuchTemplate: The tenant has no such template.
            ChangedMeanwhile: The template has another revision.
            TemplateNameDuplicate: The name is taken.
        """
        ...

    def delete(self, tenant: Tenant, template_id: str) -> None:
        """Delete a template.

        Raises:
            NoSuchTemplate: The tenant has no such template.
        """
        ...


class TenantRepository(Protocol):
    """Buckets for which the service is open."""

    def open(self, tenant: Tenant, *, new_queue: QueueLimits | None = None, again: bool = True) -> Bucket:
        """Open the service for a tenant; return its bucket also if it was open before.

        Args:
            tenant: The tenant.
            new_queue: Limits of the queue of a new tenant; by default those of the store's options.
            again: Whether a bucket that was closed is opened again.

        Raises:
            AsrBucketUnBinded: The bucket was closed, and stays so.
            BindedBucketNumLimit: The region has as many buckets as it may.
        """
        ...

    def close(self, tenant: Tenant) -> None:
        """Refuse further submissions of a tenant until it is opened; its jobs, queues and templates stay.

        Raises:
            NoSuchBucket: The service is not open for the tenant.
        """
        ...

    def is_open(self, tenant: Tenant) -> bool | None:
        """Return whether the service is open for a tenant; None if it never was."""
        ...

    def search(self, which: BucketFilter) -> Listing[Bucket]:
        """Return buckets for which the service is open, oldest first."""
        ...
