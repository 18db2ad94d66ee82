"""Changes of an in-memory store's batches, which follow from those of their jobs."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from stemline.jobs.batch import BATCHES_KEPT, Batch, BatchState
from stemline.jobs.callback import CallbackTarget
from stemline.jobs.delivery import Delivery
from stemline.jobs.job import Job, JobSpec
from stemline.jobs.states import State
from stemline.jobs.tenant import Tenant
from stemline.testing.in_memory_store.schedule import Schedule


class BatchChanges(Schedule):
    """What a store holds, with the counts and the end of batches."""

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

    def is_counted(self, spec: JobSpec) -> bool:
        """Return whether a job is a row, which was counted when its batch was accepted."""
        return spec.batch in self.batches and not spec.origin

    def reopen_batch(self, batch_id: str) -> None:
        """Let a batch that has ended go on, because one of its rows does."""
        batch = self.batches.get(batch_id)
        if batch is not None and batch.ended is not None:
            self.batches[batch_id] = replace(batch, state=BatchState.ACTIVE, ended=None, fed=batch.rows)
            announced = self.deliveries.get("d" + batch_id[1:])
            if announced is not None and announced.status == "pending":
                del self.deliveries[announced.id]
                self.outbox.pop(announced.id, None)

    def announce(self, delivery_id: str, subject: str, tenant: Tenant, target: CallbackTarget) -> None:
        """Put a callback into the outbox."""
        now = self.clock()
        self.deliveries[delivery_id] = Delivery(delivery_id, subject, tenant, target, created=now, due=now)
        self.outbox[delivery_id] = now
