"""A model of the job store: what should have happened, in a page of Python."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from stemline.jobs.job import JobSpec
from stemline.jobs.states import QueueState, State
from stemline.jobs.tenant import Tenant


@dataclass
class Expected:
    """What the model knows of a job."""

    id: str
    spec: JobSpec
    created: int
    state: State = State.SUBMITTED
    attempt: int = 0
    token: int = 0
    lease_end: int = 0
    cancel: bool = False
    delayed: int | None = None
    ended: int = 0
    uploads: tuple[Any, ...] = ()
    ended_by_holder: bool = False

    @property
    def tenant(self) -> Tenant:
        return self.spec.tenant

    def held(self, token: int) -> bool:
        return self.state is State.RUNNING and self.token == token


@dataclass
class ExpectedQueue:
    """What the model knows of a tenant's queue."""

    id: str
    state: QueueState = QueueState.ACTIVE
    room: int = 10


@dataclass
class ExpectedCallback:
    """What the model knows of a delivery."""

    due: int
    status: str = "pending"
    tries: int = 0


@dataclass
class Model:
    jobs: dict[str, Expected] = field(default_factory=dict)
    queues: dict[Tenant, ExpectedQueue] = field(default_factory=dict)
    callbacks: dict[str, ExpectedCallback] = field(default_factory=dict)
    pruned: int = 0

    def of(self, tenant: Tenant, *states: State) -> list[Expected]:
        return [j for j in self.jobs.values() if j.tenant == tenant and j.state in states]

    def waiting(self, tenant: Tenant, level: int) -> list[Expected]:
        found = [j for j in self.of(tenant, State.SUBMITTED) if j.spec.level == level and j.delayed is None]
        return sorted(found, key=lambda j: j.created)

    def open(self, tenant: Tenant) -> bool:
        queue = self.queues[tenant]
        return queue.state is QueueState.ACTIVE and len(self.of(tenant, State.RUNNING)) < queue.room

    def startable(self, levels: set[int]) -> set[str]:
        """Ids that a claim may give: the oldest of each queue at the highest level that has any."""
        for level in sorted(levels, reverse=True):
            heads = [
                self.waiting(t, level)[0].id for t in self.queues if self.open(t) and self.waiting(t, level)
            ]
            if heads:
                return set(heads)
        return set()
