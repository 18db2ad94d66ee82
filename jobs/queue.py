"""A queue of a tenant, with its callback defaults."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from stemline.jobs.callback import MqConfig, masked_url
from stemline.jobs.errors import RequestRefused
from stemline.jobs.ids import queue_id_of
from stemline.jobs.states import QueueState
from stemline.jobs.tenant import Tenant


@dataclass(frozen=True, slots=True)
class NotifyConfig:
    """Callback defaults of a queue, with the values of the wire (docs/wire/wire.md, 6.1)."""

    state: str = "Off"
    """``On`` or ``Off``."""
    event: str = ""
    """Comma-separated list of ``TaskFinish`` and ``WorkflowFinish``."""
    result_format: str = "XML"
    type: str = ""
    url: str = ""
    mq_mode: str = ""
    mq_region: str = ""
    mq_name: str = ""

    @property
    def mq(self) -> MqConfig | None:
        """The message queue or topic, if one is named, also while another type is set."""
        if not (self.mq_region or self.mq_name):
            return None
        return MqConfig(self.mq_region, self.mq_mode or "Queue", self.mq_name)

    @property
    def announces_jobs(self) -> bool:
        """Whether the end of a job is announced."""
        return self.state == "On" and "TaskFinish" in [e.strip() for e in self.event.split(",")]


USUAL_WEIGHT: Final = 100
"""Weight of a queue or a share that has none of its own."""


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """Limits of a queue."""

    max_size: int
    max_concurrent: int
    weight: int = USUAL_WEIGHT


class Reserved(NamedTuple):
    """Slots of a queue that are kept for one level, as long as its jobs do not take them."""

    level_1: int = 0
    level_2: int = 0


NONE_RESERVED: Final = Reserved()


@dataclass(frozen=True, slots=True)
class Override:
    """Limits that a queue has for a time; ``None`` leaves one as it is."""

    until: int
    """When they end, µs since the epoch."""
    max_concurrent: int | None = None
    weight: int | None = None


@dataclass(frozen=True, slots=True)
class Queue:
    """The speech queue of a tenant; times in µs since the epoch."""

    id: str
    tenant: Tenant
    name: str
    state: QueueState
    max_size: int
    """Waiting jobs that it may hold."""
    max_concurrent: int
    """Jobs that may run at the same time, over all workers."""
    created: int
    updated: int
    notify: NotifyConfig = NotifyConfig()
    weight: int = USUAL_WEIGHT
    """Turns that it gets, in proportion to those of other queues."""
    reserved: Reserved = NONE_RESERVED
    """Of ``max_concurrent``."""
    override: Override | None = None
    """Limits that hold instead of its own for a time."""
    revision: int = field(default=0, compare=False)
    """How often it was changed."""

    @property
    def slots(self) -> int:
        """Jobs that may run at the same time now."""
        return (self.override and self.override.max_concurrent) or self.max_concurrent

    @property
    def turns(self) -> int:
        """Its weight now."""
        return (self.override and self.override.weight) or self.weight

    def check_reserved(self) -> None:
        """Check that reserved slots leave one for every level, with and without temporary limits.

        Raises:
            RequestRefused: They do not.
        """
        if sum(self.reserved) and sum(self.reserved) >= min(self.slots, self.max_concurrent):
            raise RequestRefused("Reserved must leave one of MaxConcurrent for all levels.")

    def without_secrets(self) -> Queue:
        """Return the queue as it is shown to those who may not change it."""
        return replace(self, notify=replace(self.notify, url=masked_url(self.notify.url)))


def first_queue(tenant: Tenant, limits: QueueLimits, now: int) -> Queue:
    """Return the queue that a tenant has when its service is opened.

    Args:
        tenant: Its owner.
        limits: Limits of the queue.
        now: The time it is created, µs since the epoch.
    """
    return Queue(
        id=queue_id_of(tenant),
        tenant=tenant,
        name="queue-speech-1",
        state=QueueState.ACTIVE,
        max_size=limits.max_size,
        max_concurrent=limits.max_concurrent,
        created=now,
        updated=now,
    )
