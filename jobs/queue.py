"""A queue of a tenant, with its callback defaults."""

from __future__ import annotations

from dataclasses import dataclass

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
    def announces_jobs(self) -> bool:
        """Whether the end of a job is announced."""
        return self.state == "On" and "TaskFinish" in [e.strip() for e in self.event.split(",")]


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
