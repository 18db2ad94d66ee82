"""Arguments and answers of the store's repositories."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Generic, TypeAlias, TypeVar

from stemline.jobs.delivery import DELIVERY_STATUSES
from stemline.jobs.job import JobSpec
from stemline.jobs.queue import Queue, QueueLimits
from stemline.jobs.states import QueueState, State
from stemline.jobs.tenant import Tenant
from stemline.jobs.usage import NO_BUDGET, Budget

T = TypeVar("T")

Uploads: TypeAlias = Sequence[Mapping[str, Any]]
"""Uploads of an attempt as the record of its job keeps them."""


@dataclass(frozen=True, slots=True)
class WakeUp:
    """A hint that a job may be ready to start.

    A message carries the level alone: the worker that receives it claims the best job that it serves.
    """

    level: int
    job_id: str
    wants: str = ""
    """What a worker must serve to take it; empty for any that serves common jobs."""


Notify: TypeAlias = Callable[[Sequence[WakeUp]], None]
"""Sends wake-ups to workers; must not raise."""


Deliver: TypeAlias = Callable[[Sequence[str]], None]
"""Has callbacks delivered that are due at once, by their ids; must not raise."""


def discard_deliveries(deliveries: Sequence[str]) -> None:
    """Send nothing; the sweeper finds the callbacks due."""


def discard_wake_ups(wake_ups: Sequence[WakeUp]) -> None:
    """Send nothing; the sweeper finds the jobs and wakes workers up."""


@dataclass(frozen=True, slots=True)
class Submission:
    """Jobs of one tenant and one submitter that are stored together; see ``JobRepository.create``."""

    specs: Sequence[JobSpec]
    idempotency: Idempotency | None = None
    new_queue: QueueLimits | None = None
    budget: Budget = NO_BUDGET


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a long list."""

    items: list[T]
    cursor: str | None
    """Where the next page begins; ``None`` at the end. The last page may be empty."""


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """A numbered page of a short list."""

    items: list[T]
    total: int
    """Items on all pages."""
    missing: tuple[str, ...] = ()
    """Requested ids that do not exist."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Some of the jobs that match a filter."""

    jobs: int
    cursor: str | None
    """Where to go on; ``None`` at the end."""


@dataclass(frozen=True, slots=True)
class Reuse:
    """What is known of a job that is equal to a claimed one; by default there is no such job."""

    done: str = ""
    """Id of one that was successful."""
    waits: bool = False
    """Whether one runs; the claimed job was returned to its queue and waits for its end."""


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A client's statement that requests with this key and body are the same request."""

    key: str
    body_sha256: str


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs a list contains; times in µs since the epoch, both bounds inclusive."""

    states: frozenset[State] | None = None
    """``None`` for all."""
    queue_id: str | None = None
    start: int | None = None
    end: int | None = None
    input_object: str | None = None
    prefix: str = ""
    """Beginning of the source's key; empty for any."""
    level: int | None = None
    batch: str = ""
    """Id of the batch; empty for any."""
    unretried: bool = False
    """Only jobs that no other job retries."""
    is_brief: bool = False
    """Whether a list needs only the states of jobs and not their results."""
    order: str = "Desc"
    """``Desc`` or ``Asc`` by creation time."""
    size: int = 10
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class QueueFilter:
    """Which queues a list contains; pages count from 1."""

    ids: tuple[str, ...] = ()
    """Empty for all."""
    state: QueueState | None = None
    page: int = 1
    size: int = 10

    def choose(self, queues: Sequence[Queue]) -> Listing[Queue]:
        """Return the page of a tenant's queues that the list contains."""
        found = [q for q in queues if (not self.ids or q.id in self.ids) and self.state in {None, q.state}]
        known = {queue.id for queue in queues}
        missing = tuple(queue_id for queue_id in self.ids if queue_id not in known)
        return Listing(page_of(found, self.page, self.size), len(found), missing)


@dataclass(frozen=True, slots=True)
class TemplateFilter:
    """Which templates a list contains; pages count from 1."""

    ids: tuple[str, ...] = ()
    """Empty for all."""
    name_prefix: str = ""
    page: int = 1
    size: int = 10


@dataclass(frozen=True, slots=True)
class BucketFilter:
    """Which opened buckets a list contains; pages count from 1."""

    regions: tuple[str, ...] = ()
    """Empty for all."""
    names: tuple[str, ...] = ()
    """Empty for all."""
    name_part: str = ""
    allowed: Callable[[Tenant], bool] = lambda _: True
    """Whether a tenant may be seen."""
    known: tuple[Tenant, ...] | None = None
    """All tenants that may be seen, so that no others are read; ``None`` if they are not known."""
    page: int = 1
    size: int = 10

    def matches(self, tenant: Tenant) -> bool:
        """Return whether the list contains the bucket of a tenant that may be seen."""
        return (
            (not self.regions or tenant.region in self.regions)
            and (not self.names or tenant.bucket in self.names)
            and self.name_part in tenant.bucket
        )


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which callbacks a list contains; pages count from 1."""

    statuses: frozenset[str] = DELIVERY_STATUSES
    host: str | None = None
    since: int | None = None
    """When the job ended, at the earliest, µs since the epoch."""
    page: int = 1
    size: int = 10


class Slot(IntEnum):
    """The answer to a request for one of a host's delivery slots."""

    ACQUIRED = 1
    QUEUED = 0
    """No slot is free; the delivery waits for its turn."""
    DUPLICATE = -1
    """Another worker is sending this delivery."""


def delivery_id(job_id: str) -> str:
    """Return the id of the delivery that announces a job's end; it is also the ``webhook-id``."""
    return "d" + job_id[1:]


def page_of(items: Sequence[T], page: int, size: int) -> list[T]:
    """Return one numbered page; pages count from 1."""
    first = (page - 1) * size
    return list(items[first : first + size])
