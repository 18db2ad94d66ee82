"""The changes that several repositories of an in-memory store make."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import replace

from stemline.jobs.callback_target import callback_target
from stemline.jobs.errors import LeaseLost
from stemline.jobs.estimate import Pace, with_estimates
from stemline.jobs.job import Job
from stemline.jobs.leftover import Leftover
from stemline.jobs.serving import no_worker, wait_reason
from stemline.jobs.states import ENDED, TRANSITIONS, QueueState, State
from stemline.jobs.store import WakeUp, delivery_id
from stemline.jobs.store.scripts import LEFTOVER_WAIT_US
from stemline.jobs.store.snapshot import LEVELS
from stemline.jobs.store.values import Uploads
from stemline.jobs.tenant import Tenant
from stemline.testing.in_memory_store.batch_changes import BatchChanges


class Contents(BatchChanges):
    """What a store holds, with the changes of jobs."""

    def send(self, wake_ups: list[WakeUp]) -> None:
        """Notify workers, if there is a wake-up; called without the lock."""
        if wake_ups:
            self.notify(wake_ups)

    def publish_job(self, job: Job) -> None:
        """Publish the state of a job as clients see it."""
        shown = self.view(job)
        values = {"progress": shown.progress, "stage": shown.stage, "code": shown.code}
        self.publish_event(shown.spec.tenant, "job", shown.id, shown.state, **values)

    def view(self, job: Job) -> Job:
        """Return a job as clients see it."""
        is_paused = self.queues[job.spec.queue_id].state is QueueState.PAUSED or self.is_held(job)
        return replace(job, state=State.PAUSE) if is_paused and job.state is State.SUBMITTED else job

    def shown(self, job: Job) -> Job:
        """Return a job as clients see it, with its position and estimates."""
        if job.state in ENDED:
            return job
        queue, ageing_us = job.spec.queue_id, self.options.level_ageing_us

        def rank(one: Job) -> tuple[int, int]:
            aged = max(0, self.clock() - one.created) // ageing_us if ageing_us else 0
            return -(one.spec.level + aged), one.created

        wants = self.line_wants(job)
        lines = [deque(self.line(queue, level, wants)) for level in LEVELS]
        ids = []
        while heads := [line for line in lines if line]:
            ids.append(min(heads, key=lambda line: rank(line[0])).popleft().id)
        running = sum(self.jobs[job_id].spec.queue_id == queue for job_id in self.leases)
        shown = self.view(job)
        if job.state is not State.RUNNING:
            reason = wait_reason(self.missing_for(job), job.spec.level, job.spec.wants)
            message = job.message if self.is_served(job.spec.wants) else no_worker(job.spec.wants)
            shown = replace(shown, wait_reason=reason, message=message)
        mean = self.mean_runs.get((queue, job.spec.wants), self.mean_runs.get((queue, "")))
        return with_estimates(
            shown,
            Pace(self.clock(), running, mean),
            ahead=ids.index(job.id) if job.id in ids else None,
            by_worker=self.expected_ends.get(job.id),
        )

    def current(self, job_id: str, token: int) -> Job:
        """Return a job whose current attempt has this token.

        Raises:
            LeaseLost: The token is stale.
        """
        job = self.jobs.get(job_id)
        if job is None or job.state is not State.RUNNING or job.token != token:
            raise LeaseLost
        return job

    def next_token(self, job: Job) -> int:
        """Return the fencing token of a new attempt."""
        return max(job.token + 1, self.clock())

    def extend_lease(self, job_id: str) -> None:
        self.leases[job_id] = self.clock() + self.options.lease_us

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

    def may_take_more(self, tenant: Tenant) -> bool:
        """Return whether a tenant may get further jobs: what has not ended cannot make room."""
        most = self.options.job_bytes_per_bucket
        if not most or self.kept[tenant] <= most:
            return True
        return any(job.spec.tenant == tenant and job.ended is not None for job in self.jobs.values())

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
