"""A queue of a tenant, with its callback defaults."""

from __future__ import annotations

from dataclasses import dataclass

from stemline.jobs.states import QueueState
from stemline.jobs.tenant import Tenant


@dataclass(frozen=True, slots=True)
class NotifyConfig:
    """A queue's callback defaults (docs/wire/wire.md, 6.1)."""

    state: str = "Off"
    event: str = ""
    """Comma list of ``TaskFinish`` and ``WorkflowFinish``."""
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
    """The speech queue of a tenant."""

    id: str
    tenant: Tenant
    name: str
    state: QueueState
    max_size: int
    """Waiting jobs it may hold."""
    max_concurrent: int
    """Jobs of it that may run at once, over all workers."""
    created: int
    updated: int
    notify: NotifyConfig = NotifyConfig()
