"""Numbers about everything in a store at one moment, for metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stemline.jobs.serving import Demand
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

    @property
    def jobs(self) -> int:
        """Waiting and running jobs together."""
        return sum(self.waiting) + self.running


@dataclass(frozen=True, slots=True)
class TenantLoad:
    """Jobs of one tenant, by state and by queue."""

    states: Mapping[State, int]
    """Jobs by state, as clients see it."""
    queues: tuple[QueueLoad, ...]
    oldest: Mapping[str, int]
    """Queue id to the creation time of its oldest waiting job, µs since the epoch, where one waits."""
    mean_runs: Mapping[str, int]
    """Queue id to how long its latest successful jobs ran, µs, where one has."""
    later: Mapping[str, int]
    """Queue id to its waiting jobs that may not start yet, which are not among its waiting ones by level."""


@dataclass(frozen=True, slots=True)
class QueueTotals:
    """All queues together."""

    queues: int
    paused: int
    """Queues that are paused."""
    max_concurrent: int
    running: int
    waiting: tuple[int, ...]
    """Waiting jobs by level."""
    startable: tuple[int, ...]
    """Waiting jobs by level that could start; the room of a queue counts once, for its highest level."""
    oldest: tuple[int | None, ...]
    """Creation time of the oldest waiting job by level, of queues that are not paused, µs since the epoch."""


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

    memory_bytes: int = 0
    memory_limit_bytes: int = 0
    """0 for no limit."""
    is_append_only: bool = False
    """Whether the append-only file is on and its last write succeeded."""
    missing: str = ""
    """Why the above is not known, such as ``NOPERM`` for a user without INFO; empty if it is."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Numbers about a store at one moment."""

    at: int
    """The store's time, µs since the epoch."""
    states: Mapping[State, int]
    """Jobs by state, as clients see it; those of a paused batch in another queue are Submitted here."""
    queues: tuple[QueueLoad, ...]
    """The busiest queues, by waiting and running jobs."""
    totals_of_queues: QueueTotals
    delayed: int
    """Released jobs that wait for their delay to end."""
    expired_leases: int
    """Running jobs whose lease has expired."""
    callbacks: CallbackLoad
    leftovers: int
    """Attempts whose uploads could not be removed from a bucket yet."""
    totals: Mapping[str, int]
    """Counts since the store was created: ``created``, ``ended:<State>``, ``leases_lost``, ``hopped``,
    ``reused``, ``callback_tries``, ``callbacks:delivered``, ``callbacks:dead``, ``leftovers:removed``,
    ``leftovers:given_up``, ``audio_ms``, ``bytes_in``, ``bytes_out``, ``work_ms:<device>``, and of separated
    jobs ``audio_ms_of:<wants>`` and ``work_ms_of:<wants>``."""
    server: ServerStatus
    demands: tuple[Demand, ...] = ()
    """What waiting jobs want beyond the common models, the most wanted first."""
