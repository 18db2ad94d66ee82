"""Numbers about everything in a store at one moment, for metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stemline.jobs.states import State
from stemline.jobs.tenant import Tenant

LEVELS = (0, 1, 2)
"""JobLevels; a higher one is served first."""


@dataclass(frozen=True, slots=True)
class QueueLoad:
    """Waiting and running jobs of one queue."""

    id: str
    tenant: Tenant
    paused: bool
    max_concurrent: int
    running: int
    waiting: tuple[int, ...]
    """Waiting jobs by level."""
    oldest: tuple[int | None, ...]
    """Creation time of the oldest waiting job by level, µs since the epoch."""

    @property
    def jobs(self) -> int:
        """Waiting and running jobs together."""
        return sum(self.waiting) + self.running


@dataclass(frozen=True, slots=True)
class CallbackLoad:
    """Callbacks that are not delivered."""

    pending: int
    """In the outbox."""
    due: int
    """In the outbox and due now."""
    oldest_due: int | None
    """When the first callback in the outbox is due, µs since the epoch."""
    dead: int
    """Dead letters."""


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """State of the server that holds the store."""

    memory_bytes: int
    memory_limit_bytes: int
    """0 for no limit."""
    is_append_only: bool
    """Whether the append-only file is on and its last write succeeded."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Numbers about a store at one moment."""

    at: int
    """The store's time, µs since the epoch."""
    states: Mapping[State, int]
    """Jobs by state, as clients see it."""
    queues: tuple[QueueLoad, ...]
    delayed: int
    """Released jobs that wait for their delay to end."""
    expired_leases: int
    """Running jobs whose lease has expired."""
    callbacks: CallbackLoad
    totals: Mapping[str, int]
    """Counts since the store was created: ``created``, ``ended:<State>``, ``leases_lost``,
    ``callback_tries``, ``callbacks:delivered`` and ``callbacks:dead``."""
    server: ServerStatus
