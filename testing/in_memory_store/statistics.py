"""Numbers about a store in memory."""

from __future__ import annotations

from collections import Counter

from stemline.jobs.queue import Queue
from stemline.jobs.states import QueueState, State
from stemline.jobs.store import CallbackLoad, QueueLoad, ServerStatus, Snapshot, Statistics
from stemline.jobs.store.snapshot import LEVELS
from stemline.testing.in_memory_store.state import Contents


class InMemoryStatistics(Statistics):
    """Numbers about a store in memory; its server status is all zero."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents

    def read(self) -> Snapshot:
        contents = self._contents
        with contents.lock:
            now = contents.clock()
            states = Counter(contents.view(job).state for job in contents.jobs.values())
            return Snapshot(
                at=now,
                states={state: states[state] for state in State},
                queues=tuple(self._load(queue) for queue in contents.queues.values()),
                delayed=len(contents.delayed),
                expired_leases=sum(end <= now for end in contents.leases.values()),
                callbacks=CallbackLoad(
                    pending=len(contents.outbox),
                    due=sum(at <= now for at in contents.outbox.values()),
                    oldest_due=min(contents.outbox.values(), default=None),
                    dead=len(contents.dead),
                ),
                totals=dict(contents.totals),
                server=ServerStatus(memory_bytes=0, memory_limit_bytes=0, is_append_only=False),
            )

    def _load(self, queue: Queue) -> QueueLoad:
        contents = self._contents
        waiting = [contents.waiting(queue.id, level) for level in LEVELS]
        return QueueLoad(
            id=queue.id,
            tenant=queue.tenant,
            paused=queue.state is QueueState.PAUSED,
            max_concurrent=queue.max_concurrent,
            running=queue.max_concurrent - contents.room(queue.id),
            waiting=tuple(len(jobs) for jobs in waiting),
            oldest=tuple(jobs[0].created if jobs else None for jobs in waiting),
        )
