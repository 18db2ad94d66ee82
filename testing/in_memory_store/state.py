"""What an in-memory store holds, and how its events and sums are kept."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from stemline.jobs.batch import Batch, Row
from stemline.jobs.delivery import Delivery
from stemline.jobs.errors import BindedBucketNumLimit, BudgetSpent
from stemline.jobs.event import EVENTS_KEPT, Event, place
from stemline.jobs.history import Step, StepKind, bounded
from stemline.jobs.job import Job, JobSpec, Waveform
from stemline.jobs.leftover import Leftover
from stemline.jobs.probe import Probe, Question
from stemline.jobs.queue import Queue, QueueLimits, first_queue
from stemline.jobs.share import Share
from stemline.jobs.store import Notify, StoreOptions
from stemline.jobs.store.snapshot import LEVELS
from stemline.jobs.store.values import Deliver, discard_deliveries
from stemline.jobs.template import Template
from stemline.jobs.tenant import Tenant
from stemline.jobs.usage import DAY_US, Budget
from stemline.jobs.worker import Worker


@dataclass
class Home:
    """What a store knows of a tenant."""

    created: int
    queue_id: str
    """Its default queue."""
    is_open: bool = True


@dataclass
class Remembered:
    """The jobs that were created for an idempotency key."""

    body_sha256: str
    ids: list[str]
    expires_at: int


@dataclass
class StoredData:
    """Everything in a store. All times are µs since the epoch."""

    options: StoreOptions
    notify: Notify
    clock: Callable[[], int]
    deliver: Deliver = discard_deliveries
    lock: threading.RLock = field(default_factory=threading.RLock)
    """Held while a method of a repository reads or changes the contents."""

    jobs: dict[str, Job] = field(default_factory=dict)
    """By id, in order of creation. A waiting job of a paused queue is kept as Submitted."""
    waveforms: dict[str, tuple[Waveform, ...]] = field(default_factory=dict)
    history: dict[str, list[Step]] = field(default_factory=lambda: defaultdict(list))
    leases: dict[str, int] = field(default_factory=dict)
    """Running job id to the end of its lease."""
    delayed: dict[str, int] = field(default_factory=dict)
    """Released job id to the time at which it becomes claimable."""
    last_created: int = 0
    idempotency: dict[tuple[Tenant, str], Remembered] = field(default_factory=dict)

    ready: dict[tuple[int, str], dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    """Level, and what a line is named after, to the turns of the queues that have a job to start there."""
    apart: set[str] = field(default_factory=set)
    """Jobs that do not stand in the common line although they could."""
    last_turn: dict[int, float] = field(default_factory=lambda: dict.fromkeys(LEVELS, 0.0))
    """Level to the turn of the queue served last."""
    next_turn: dict[tuple[str, int], float] = field(default_factory=lambda: defaultdict(float))
    """Queue and level to the turn after the one served last."""
    shares: dict[str, Share] = field(default_factory=dict)
    """By credential, of those that have a weight."""
    last_share: Counter[tuple[str, int]] = field(default_factory=Counter)
    """Queue and level to the turn of the share served last, in millionths."""
    next_share: Counter[tuple[str, int, str]] = field(default_factory=Counter)
    """Queue, level and share to the turn after the one served last."""
    hops: dict[str, int] = field(default_factory=dict)
    """Job id to the time at which it changes its level if it waits."""

    expected_ends: dict[str, int] = field(default_factory=dict)
    """Running job id to the time at which its worker expects the end."""
    mean_runs: dict[tuple[str, str], int] = field(default_factory=dict)
    """Queue id, and what jobs want (empty for all), to how long the latest successful ones ran, µs."""

    homes: dict[Tenant, Home] = field(default_factory=dict)
    queues: dict[str, Queue] = field(default_factory=dict)
    templates: dict[str, Template] = field(default_factory=dict)

    usage: dict[tuple[Tenant, str, int], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """Tenant, credential and day to sums."""

    workers: dict[str, Worker] = field(default_factory=dict)
    """By name."""

    warned: set[tuple[Tenant, str, int]] = field(default_factory=set)
    """Tenant, credential and day for which it was reported that the budget is nearly spent."""

    batches: dict[str, Batch] = field(default_factory=dict)
    """Without the counts of their jobs."""
    batch_rows: dict[str, list[Row]] = field(default_factory=dict)
    """Rows that are not jobs yet."""
    uploads: dict[str, str] = field(default_factory=dict)
    """Batch id to the upload that sends its rows."""
    counted_rows: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Batch id to the credential and the day of which its rows were counted as jobs."""

    deliveries: dict[str, Delivery] = field(default_factory=dict)
    outbox: dict[str, int] = field(default_factory=dict)
    """Delivery id to the time it is due, or to the end of its reservation."""
    dead: dict[str, int] = field(default_factory=dict)
    """Delivery id to the time it was given up."""
    sending: dict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    """Host to deliveries that have a slot, with its end."""
    queued: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Host to deliveries that wait for a slot."""

    leftovers: dict[str, tuple[int, Leftover]] = field(default_factory=dict)
    """Id to the time at which it is tried again, and what it is."""

    nonces: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)
    """Credential and nonce to the request that used it and the time until which it is remembered."""

    reusable: dict[tuple[Tenant, str], str] = field(default_factory=dict)
    """Tenant and digest to the latest successful job."""
    leaders: dict[tuple[Tenant, str], str] = field(default_factory=dict)
    """Tenant and digest to the running job that equal ones wait for."""
    followers: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Job id to the jobs that wait for its end."""

    job_bytes: dict[str, int] = field(default_factory=dict)
    """About how many bytes of memory each job takes on a server."""
    kept: Counter[Tenant] = field(default_factory=Counter)
    """Their sum for each tenant."""

    questions: deque[Question] = field(default_factory=deque)
    """Of dry runs."""
    probes: dict[str, Probe] = field(default_factory=dict)
    """By question."""
    probe_seconds: defaultdict[Tenant | str, float] = field(default_factory=lambda: defaultdict(float))
    """Tenant, or credential, to how long its questions took, s."""
    slow_sources: set[tuple[Tenant, str]] = field(default_factory=set)
    """Tenant and key of sources at which a look was in vain."""

    events: dict[Tenant, deque[Event]] = field(default_factory=lambda: defaultdict(deque))
    forgotten: dict[Tenant, tuple[int, int]] = field(default_factory=dict)
    """Tenant to the place of the last event that is not kept any more."""
    changed: threading.Condition = field(init=False)
    """Notified of every event."""
    event_count: int = 0

    totals: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.changed = threading.Condition(self.lock)

    def publish_event(self, tenant: Tenant, kind: str, subject: str, state: str, **values: Any) -> None:
        """Publish an event to the listeners of a tenant."""
        events = self.events[tenant]
        self.event_count += 1
        events.append(Event(self.last_event(), kind, subject, state, **values))
        if len(events) > EVENTS_KEPT:
            self.forgotten[tenant] = place(events.popleft().id)
        self.changed.notify_all()

    def last_event(self) -> str:
        """Return the id of the last event of any tenant."""
        return f"{self.clock() // 1000}-{self.event_count}"

    def note(self, job_id: str, kind: StepKind, text: str) -> None:
        """Keep a step of a job."""
        self.history[job_id] = bounded([*self.history[job_id], Step(self.clock(), kind, text)])

    def open_tenant(self, tenant: Tenant, limits: QueueLimits | None = None) -> Home:
        """Open the service for a tenant; a new one gets its default queue.

        Raises:
            BindedBucketNumLimit: The region has as many buckets as it may.
        """
        if tenant not in self.homes:
            if sum(known.region == tenant.region for known in self.homes) >= self.options.buckets_per_region:
                raise BindedBucketNumLimit
            queue = first_queue(tenant, limits or self.options.queue_limits, self.clock())
            self.homes[tenant] = Home(queue.created, queue.id)
            self.queues[queue.id] = queue
        self.homes[tenant].is_open = True
        return self.homes[tenant]

    def use(self, spec: JobSpec, **sums: int) -> None:
        """Add to what the jobs of a credential took today."""
        self.usage[spec.tenant, spec.credential, self.clock() // DAY_US].update(sums)
        self.totals.update(
            {what: n for what, n in sums.items() if what not in {"jobs", "succeeded", "failed"}}
        )

    def check_budget(self, credential: str, budget: Budget, jobs: int) -> None:
        """Check that a credential may take some more jobs today.

        Raises:
            BudgetSpent: It may not.
        """
        spent: Counter[str] = Counter()
        for (_, name, day), sums in self.usage.items():
            if name == credential and day == self.clock() // DAY_US:
                spent.update(sums)
        if budget.audio_s is not None and spent["audio_ms"] >= budget.audio_s * 1000:
            raise BudgetSpent
        if budget.jobs is not None and spent["jobs"] + jobs > budget.jobs:
            raise BudgetSpent
