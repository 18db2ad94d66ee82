"""The contents of an in-memory store, and the changes that several of its repositories make."""

from __future__ import annotations

import itertools
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from stemline.jobs.batch import BATCHES_KEPT, Batch, BatchState, Row
from stemline.jobs.callback import CallbackTarget
from stemline.jobs.callback_target import callback_target
from stemline.jobs.delivery import Delivery
from stemline.jobs.errors import BindedBucketNumLimit, BudgetSpent, LeaseLost
from stemline.jobs.estimate import Pace, with_estimates
from stemline.jobs.event import EVENTS_KEPT, Event, place
from stemline.jobs.history import Step, StepKind, bounded
from stemline.jobs.job import Job, JobSpec, Waveform
from stemline.jobs.leftover import Leftover
from stemline.jobs.probe import Probe, Question
from stemline.jobs.queue import USUAL_WEIGHT, Queue, QueueLimits, first_queue
from stemline.jobs.share import Share, step
from stemline.jobs.states import ENDED, TRANSITIONS, QueueState, State
from stemline.jobs.store import Notify, StoreOptions, WakeUp, delivery_id
from stemline.jobs.store.scripts import LEFTOVER_WAIT_US
from stemline.jobs.store.snapshot import LEVELS
from stemline.jobs.store.values import Deliver, Uploads, discard_deliveries
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
class Contents:
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

    ready: dict[int, dict[str, float]] = field(default_factory=lambda: {level: {} for level in LEVELS})
    """Level to the turns of the queues that have a job to start."""
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
    mean_runs: dict[str, int] = field(default_factory=dict)
    """Queue id to how long its latest successful jobs ran, µs."""

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

    events: dict[Tenant, deque[Event]] = field(default_factory=lambda: defaultdict(deque))
    forgotten: dict[Tenant, tuple[int, int]] = field(default_factory=dict)
    """Tenant to the place of the last event that is not kept any more."""
    changed: threading.Condition = field(init=False)
    """Notified of every event."""
    event_count: int = 0

    totals: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.changed = threading.Condition(self.lock)

    # Events

    def publish_event(self, tenant: Tenant, kind: str, subject: str, state: str, **values: Any) -> None:
        """Publish an event to the listeners of a tenant."""
        events = self.events[tenant]
        self.event_count += 1
        events.append(Event(self.last_event(), kind, subject, state, **values))
        if len(events) > EVENTS_KEPT:
            self.forgotten[tenant] = place(events.popleft().id)
        self.changed.notify_all()

    def publish_job(self, job: Job) -> None:
        """Publish the state of a job as clients see it."""
        shown = self.view(job)
        values = {"progress": shown.progress, "stage": shown.stage, "code": shown.code}
        self.publish_event(shown.spec.tenant, "job", shown.id, shown.state, **values)

    def last_event(self) -> str:
        """Return the id of the last event of any tenant."""
        return f"{self.clock() // 1000}-{self.event_count}"

    def note(self, job_id: str, kind: StepKind, text: str) -> None:
        """Keep a step of a job."""
        self.history[job_id] = bounded([*self.history[job_id], Step(self.clock(), kind, text)])

    # Tenants

    def open_tenant(self, tenant: Tenant, limits: QueueLimits | None = None) -> Home:
        """Open the service for a tenant; a new one gets its default queue.

        Raises:
            BindedBucketNumLimit: the region has as many buckets as it may.
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
            BudgetSpent: it may not.
        """
        spent: Counter[str] = Counter()
        for (_, name, day), sums in self.usage.items():
            if name == credential and day == self.clock() // DAY_US:
                spent.update(sums)
        if budget.audio_s is not None and spent["audio_ms"] >= budget.audio_s * 1000:
            raise BudgetSpent
        if budget.jobs is not None and spent["jobs"] + jobs > budget.jobs:
            raise BudgetSpent

    def is_counted(self, spec: JobSpec) -> bool:
        """Return whether a job is a row, which was counted when its batch was accepted."""
        return spec.batch in self.batches and not spec.origin

    # Scheduling

    def waiting(self, queue_id: str, level: int) -> list[Job]:
        """Return the claimable jobs of a queue, oldest first."""
        return [
            job
            for job in self.jobs.values()
            if job.spec.queue_id == queue_id
            and job.spec.level == level
            and job.state is State.SUBMITTED
            and job.id not in self.delayed
            and not self.is_held(job)
        ]

    def running(self, queue_id: str) -> Counter[int]:
        """Return the running jobs of a queue by level."""
        specs = (self.jobs[job_id].spec for job_id in self.leases)
        return Counter(spec.level for spec in specs if spec.queue_id == queue_id)

    def room(self, queue_id: str, level: int, taken: Mapping[int, int] | None = None) -> int:
        """Return how many further jobs of a level may run in a queue, once ``taken`` jobs by level do too.

        It leaves to the levels above the slots that are reserved for them and free; one slot is for all.
        """
        queue = self.queues[queue_id]
        running = self.running(queue_id) + Counter(taken or {})
        reserved = {1: queue.reserved[0], 2: queue.reserved[1]}
        kept = sum(max(0, reserved[higher] - running[higher]) for higher in range(level + 1, 3))
        return queue.slots - running.total() - min(kept, queue.slots - 1)

    def refresh(self, queue_id: str) -> None:
        """Update whether a queue is ready at each level, after any change of the queue or its jobs."""
        is_active = self.queues[queue_id].state is QueueState.ACTIVE
        for level, turns in self.ready.items():
            if not (is_active and self.room(queue_id, level) > 0 and self.waiting(queue_id, level)):
                turns.pop(queue_id, None)
            elif queue_id not in turns:
                # Turns that pass while a queue is not ready are not made up for.
                turns[queue_id] = max(self.next_turn[queue_id, level], self.last_turn[level])

    def wake_ups(self, queue_id: str, level: int, limit: int) -> list[WakeUp]:
        """Return wake-ups for waiting jobs of a queue and level that may start now."""
        if queue_id not in self.ready[level]:
            return []
        count = min(self.room(queue_id, level), limit)
        return [WakeUp(level, job.id) for job in itertools.islice(self.waiting(queue_id, level), count)]

    def best(self, levels: Sequence[int]) -> Job | None:
        """Return the job to start next: by level, turns of queues, turns of shares, and age."""
        ageing_us = round(self.options.level_ageing_s * 1e6)
        best: tuple[int, int, Job] | None = None
        for level in sorted(levels, reverse=True):
            turns = self.ready[level]
            if not turns:
                continue
            queue_id = min(turns, key=lambda queue_id: (turns[queue_id], queue_id))
            job = next(self.line(queue_id, level))
            if not ageing_us:
                return job
            rank = level + max(0, self.clock() - job.created) // ageing_us
            candidate = (rank, -job.created, job)
            if best is None or candidate[:2] > best[:2]:
                best = candidate
        return None if best is None else best[2]

    # Shares

    def weight_of(self, share: str) -> int:
        """Return the weight of a share now."""
        known = self.shares.get(share)
        return USUAL_WEIGHT if known is None else known.at(self.clock())

    def turns_of_shares(self, queue_id: str, level: int) -> dict[str, int]:
        """Return the turns of the shares that have claimable jobs; empty if none of them has a weight."""
        found = {job.spec.share for job in self.waiting(queue_id, level)}
        last = self.last_share[queue_id, level]
        turns = {share: max(last, self.next_share[queue_id, level, share]) for share in found}
        return turns if found - {""} else {}

    def line(self, queue_id: str, level: int) -> Iterator[Job]:
        """Return the claimable jobs of a queue and level in the order in which they are claimed."""
        jobs = self.waiting(queue_id, level)
        turns = self.turns_of_shares(queue_id, level)
        if not turns:
            yield from jobs
            return
        lists = {share: deque(job for job in jobs if job.spec.share == share) for share in turns}
        while lists:
            share = min(lists, key=lambda share: (turns[share], share))
            yield lists[share].popleft()
            turns[share] += step(self.weight_of(share))
            if not lists[share]:
                del lists[share]

    def end_turn(self, job: Job) -> None:
        """Move the turn of the share of a job that is claimed now; it still waits."""
        queue_id, level, share = job.spec.queue_id, job.spec.level, job.spec.share
        turns = self.turns_of_shares(queue_id, level)
        if turns:
            self.last_share[queue_id, level] = turns[share]
            self.next_share[queue_id, level, share] = turns[share] + step(self.weight_of(share))

    def set_weight(self, queue_id: str, before: int, after: int) -> None:
        """Count anew what the last turns of a queue moved, as its weight changes."""
        for level, served in self.last_turn.items():
            turn = self.next_turn[queue_id, level]
            if turn > served:
                self.next_turn[queue_id, level] = turn = served + (turn - served) * before / after
                if queue_id in self.ready[level]:
                    self.ready[level][queue_id] = turn

    def end_overrides(self) -> list[WakeUp]:
        """End the temporary limits of queues whose time has come; return wake-ups."""
        found: list[WakeUp] = []
        for queue in list(self.queues.values()):
            if queue.override is not None and queue.override.until <= self.clock():
                self.queues[queue.id] = replace(queue, override=None)
                self.set_weight(queue.id, queue.turns, queue.weight)
                self.refresh(queue.id)
                self.publish_event(queue.tenant, "queue", queue.id, queue.state)
                for level in sorted(LEVELS, reverse=True):
                    found += self.wake_ups(queue.id, level, 100)
        return found

    # Jobs

    def is_held(self, job: Job) -> bool:
        """Return whether the job's batch is paused."""
        batch = self.batches.get(job.spec.batch)
        return batch is not None and batch.state is BatchState.PAUSED

    def jobs_of(self, batch_id: str) -> list[Job]:
        """Return the jobs of a batch."""
        return [job for job in self.jobs.values() if job.spec.batch == batch_id]

    def counted(self, batch: Batch) -> Batch:
        """Return a batch with the counts of its rows, each by its latest job."""
        states = Counter(job.state for job in self.jobs_of(batch.id) if not job.retried_by)
        unfed = batch.rows - batch.fed
        is_cancelled = batch.state is BatchState.CANCEL
        return replace(
            batch,
            fed=batch.rows if is_cancelled else batch.fed,
            waiting=states[State.SUBMITTED] + (0 if is_cancelled else unfed),
            running=states[State.RUNNING],
            success=states[State.SUCCESS],
            failed=states[State.FAILED],
            cancelled=states[State.CANCEL] + (unfed if is_cancelled else 0),
        )

    def end_batch(self, batch_id: str) -> None:
        """End a batch when all of its rows have ended, and put its callback into the outbox."""
        batch = self.batches.get(batch_id)
        if batch is None or batch.ended is not None or batch.state is BatchState.LOADING:
            return
        counts = self.counted(batch)
        if counts.fed < counts.rows or counts.waiting or counts.running:
            return
        state = BatchState.CANCEL if batch.state is BatchState.CANCEL else BatchState.DONE
        self.batches[batch_id] = replace(batch, state=state, ended=self.clock())
        self.publish_event(batch.tenant, "batch", batch_id, state, progress=100)
        if batch.target is not None:
            self.announce("d" + batch_id[1:], batch_id, batch.tenant, batch.target)
        own = sorted(
            (each for each in self.batches.values() if each.tenant == batch.tenant), key=lambda b: b.created
        )
        old = [each.id for each in own[:100] if each.ended is not None and each.id != batch_id]
        for name in old[: max(0, len(own) - BATCHES_KEPT)]:
            del self.batches[name]

    def drops(self, spec: JobSpec) -> bool:
        """Return whether a row comes too late: its batch was cancelled."""
        batch = self.batches.get(spec.batch)
        return not spec.origin and batch is not None and batch.state is BatchState.CANCEL

    def reopen_batch(self, batch_id: str) -> None:
        """Let a batch that has ended go on, because one of its rows does."""
        batch = self.batches.get(batch_id)
        if batch is not None and batch.ended is not None:
            self.batches[batch_id] = replace(batch, state=BatchState.ACTIVE, ended=None, fed=batch.rows)

    def announce(self, delivery_id: str, subject: str, tenant: Tenant, target: CallbackTarget) -> None:
        """Put a callback into the outbox."""
        now = self.clock()
        self.deliveries[delivery_id] = Delivery(delivery_id, subject, tenant, target, created=now, due=now)
        self.outbox[delivery_id] = now

    def view(self, job: Job) -> Job:
        """Return a job as clients see it."""
        is_paused = self.queues[job.spec.queue_id].state is QueueState.PAUSED or self.is_held(job)
        return replace(job, state=State.PAUSE) if is_paused and job.state is State.SUBMITTED else job

    def shown(self, job: Job) -> Job:
        """Return a job as clients see it, with its position and estimates."""
        if job.state in ENDED:
            return job
        queue, ageing_us = job.spec.queue_id, round(self.options.level_ageing_s * 1e6)

        def rank(one: Job) -> tuple[int, int]:
            aged = max(0, self.clock() - one.created) // ageing_us if ageing_us else 0
            return -(one.spec.level + aged), one.created

        lines = [deque(self.line(queue, level)) for level in LEVELS]
        ids = []
        while heads := [line for line in lines if line]:
            ids.append(min(heads, key=lambda line: rank(line[0])).popleft().id)
        running = sum(self.jobs[job_id].spec.queue_id == queue for job_id in self.leases)
        return with_estimates(
            self.view(job),
            Pace(self.clock(), running, self.mean_runs.get(queue)),
            ahead=ids.index(job.id) if job.id in ids else None,
            by_worker=self.expected_ends.get(job.id),
        )

    def current(self, job_id: str, token: int) -> Job:
        """Return a job whose current attempt has this token.

        Raises:
            LeaseLost: the token is stale.
        """
        job = self.jobs.get(job_id)
        if job is None or job.state is not State.RUNNING or job.token != token:
            raise LeaseLost
        return job

    def next_token(self, job: Job) -> int:
        """Return the fencing token of a new attempt."""
        return max(job.token + 1, self.clock())

    def extend_lease(self, job_id: str) -> None:
        self.leases[job_id] = self.clock() + round(self.options.lease_s * 1e6)

    def leave(self, job: Job, uploads: Uploads) -> None:
        """Record uploads of the current attempt that could not be removed from their bucket."""
        if uploads:
            left = Leftover(f"{job.id}:{job.token}", job.id, job.token, tuple(uploads), self.clock())
            self.leftovers[left.id] = self.clock() + LEFTOVER_WAIT_US, left

    def move(self, job: Job, to: State) -> Job:
        """Change a job's state, as the table of transitions allows."""
        assert to in TRANSITIONS[job.state], f"{job.state} to {to}"  # noqa: S101 - a fault of this store
        self.jobs[job.id] = replace(job, state=to)
        return self.jobs[job.id]

    def expire(self, job: Job) -> bool:
        """Cancel a waiting job whose deadline has passed; return whether it was one."""
        deadline = job.spec.deadline
        if job.state is not State.SUBMITTED or deadline is None or deadline > self.clock():
            return False
        message = "The deadline passed before the job could start."
        self.finish(job, State.CANCEL, "DeadlineExceeded", message)
        self.refresh(job.spec.queue_id)
        return True

    def free_followers(self, job_id: str) -> list[WakeUp]:
        """Let the jobs go on that wait for a job, which does not run any more; return wake-ups."""
        self.leaders = {key: leader for key, leader in self.leaders.items() if leader != job_id}
        freed: Counter[tuple[str, int]] = Counter()
        for follower in self.followers.pop(job_id, ()):
            if self.delayed.pop(follower, None) is not None:
                spec = self.jobs[follower].spec
                freed[spec.queue_id, spec.level] += 1
                self.refresh(spec.queue_id)
        return [
            each for (queue, level), count in freed.items() for each in self.wake_ups(queue, level, count)
        ]

    def delete_job(self, job_id: str) -> None:
        """Delete an ended job with its callback."""
        self.kept[self.jobs.pop(job_id).spec.tenant] -= self.job_bytes.pop(job_id, 0)
        for kept in (self.waveforms, self.history):
            kept.pop(job_id, None)
        for part in (self.deliveries, self.outbox, self.dead):
            part.pop(delivery_id(job_id), None)

    def make_room(self, tenant: Tenant, limit: int) -> None:
        """Delete the oldest ended jobs of a tenant whose jobs take too much, ``limit`` of them at most."""
        most = self.options.job_bytes_per_bucket
        if not most or self.kept[tenant] <= most:
            return
        own = (job for job in self.jobs.values() if job.spec.tenant == tenant and job.ended is not None)
        for job in sorted(own, key=lambda job: job.created)[:limit]:
            if self.kept[tenant] > most:
                self.delete_job(job.id)

    def weigh(self, job: Job, text: str, more: int = 0) -> None:
        """Count what the record of a job takes."""
        size = len(text.encode()) + more
        self.job_bytes[job.id] = self.job_bytes.get(job.id, 0) + size
        self.kept[job.spec.tenant] += size

    def finish(self, job: Job, to: State, code: str, message: str) -> list[WakeUp]:
        """End a job and put its callback, if it has one, into the outbox; return wake-ups of equal jobs."""
        now = self.clock()
        self.delayed.pop(job.id, None)
        self.hops.pop(job.id, None)
        self.leases.pop(job.id, None)
        ended = self.move(job, to)
        self.jobs[job.id] = replace(ended, ended=now, code=code, message=message, uploads=(), stage="")
        self.totals[f"ended:{to}"] += 1
        target = callback_target(job.spec, self.queues[job.spec.queue_id].notify)
        if target is not None and to is not State.CANCEL:
            self.announce(delivery_id(job.id), job.id, job.spec.tenant, target)
        self.publish_job(self.jobs[job.id])
        self.end_batch(job.spec.batch)
        return self.free_followers(job.id)
