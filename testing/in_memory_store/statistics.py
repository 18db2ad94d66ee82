"""Numbers about a store in memory."""

from __future__ import annotations

from collections import Counter

from stemline.jobs.queue import Queue
from stemline.jobs.states import QueueState, State
from stemline.jobs.store import CallbackLoad, QueueLoad, QueueTotals, ServerStatus, Snapshot, Statistics
from stemline.jobs.store.snapshot import LEVELS, TenantLoad
from stemline.jobs.store.statistics import MAX_DEMANDS
from stemline.jobs.tenant import Tenant
from stemline.testing.in_memory_store.contents import Contents


class InMemoryStatistics(Statistics):
    """Numbers about a store in memory; its server status is all zero."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents

    def read(self, max_queues: int = 100) -> Snapshot:
        contents = self._contents
        with contents.lock:
            now = contents.clock()
            loads = sorted(map(self._load, contents.queues.values()), key=lambda load: (-load.jobs, load.id))
            states = Counter(contents.view(job).state for job in contents.jobs.values())
            return Snapshot(
                at=now,
                states={state: states[state] for state in State},
                queues=tuple(loads[:max_queues]),
                totals_of_queues=self._totals(loads),
                delayed=len(contents.delayed),
                expired_leases=sum(end <= now for end in contents.leases.values()),
                callbacks=CallbackLoad(
                    pending=len(contents.outbox),
                    due=sum(at <= now for at in contents.outbox.values()),
                    oldest_due=min(contents.outbox.values(), default=None),
                    dead=len(contents.dead),
                ),
                leftovers=len(contents.leftovers),
                totals=dict(contents.totals),
                server=ServerStatus(),
                demands=tuple(contents.demands(MAX_DEMANDS)),
            )

    def of_tenant(self, tenant: Tenant) -> TenantLoad:
        contents = self._contents
        with contents.lock:
            own = [job for job in contents.jobs.values() if job.spec.tenant == tenant]
            states = Counter(contents.view(job).state for job in own)
            queues = [self._load(queue) for queue in contents.queues.values() if queue.tenant == tenant]
            oldest = {
                queue.id: min(jobs)
                for queue in queues
                if (jobs := [j.created for level in LEVELS for j in contents.waiting(queue.id, level)])
            }
            means = {
                queue.id: mean
                for queue in queues
                if (mean := contents.mean_runs.get((queue.id, ""))) is not None
            }
            later = Counter(contents.jobs[job_id].spec.queue_id for job_id in contents.delayed)
        put_off = {queue.id: later[queue.id] for queue in queues}
        return TenantLoad({state: states[state] for state in State}, tuple(queues), oldest, means, put_off)

    def _load(self, queue: Queue) -> QueueLoad:
        contents = self._contents
        waiting = [contents.waiting(queue.id, level) for level in LEVELS]
        return QueueLoad(
            id=queue.id,
            tenant=queue.tenant,
            paused=queue.state is QueueState.PAUSED,
            max_concurrent=queue.slots,
            running=contents.running(queue.id).total(),
            waiting=tuple(len(jobs) for jobs in waiting),
        )

    def _totals(self, loads: list[QueueLoad]) -> QueueTotals:
        active = [load.id for load in loads if not load.paused]
        oldest = []
        for level in LEVELS:
            first = [jobs[0].created for each in active if (jobs := self._contents.waiting(each, level))]
            oldest.append(min(first, default=None))
        startable = [self._startable(load) for load in loads]
        return QueueTotals(
            queues=len(loads),
            paused=sum(load.paused for load in loads),
            max_concurrent=sum(load.max_concurrent for load in loads),
            running=sum(load.running for load in loads),
            waiting=tuple(sum(load.waiting[level] for load in loads) for level in LEVELS),
            startable=tuple(sum(each[level] for each in startable) for level in LEVELS),
            oldest=tuple(oldest),
        )

    def _startable(self, load: QueueLoad) -> dict[int, int]:
        """Return the jobs of a queue that could start, by level; its room counts for the highest first."""
        taken = dict.fromkeys(LEVELS, 0)
        for level in reversed(LEVELS):
            room = 0 if load.paused else self._contents.room(load.id, level, taken)
            taken[level] = max(0, min(room, load.waiting[level]))
        return taken
