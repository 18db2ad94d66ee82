"""Submission of jobs in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from stemline.jobs.batch import retried_already
from stemline.jobs.errors import (
    AsrBucketUnBinded,
    BucketFull,
    IdempotencyConflict,
    QueueFull,
    QueueNotFound,
)
from stemline.jobs.ids import new_job_id
from stemline.jobs.job import Job, JobSpec
from stemline.jobs.queue import QueueLimits
from stemline.jobs.serving import COMMON, MAX_WANTED
from stemline.jobs.share import Share
from stemline.jobs.states import State
from stemline.jobs.store import (
    Idempotency,
    Submission,
    WakeUp,
    records,
)
from stemline.jobs.store.snapshot import LEVELS
from stemline.jobs.tenant import Tenant
from stemline.jobs.usage import NO_BUDGET, Budget
from stemline.testing.in_memory_store.contents import Contents
from stemline.testing.in_memory_store.state import Remembered


class Submissions:
    """How jobs are created; a part of `InMemoryJobs`."""

    _contents: Contents

    def create(
        self,
        specs: Sequence[JobSpec],
        *,
        idempotency: Idempotency | None = None,
        new_queue: QueueLimits | None = None,
        budget: Budget = NO_BUDGET,
    ) -> list[Job]:
        ids = [new_job_id() for _ in specs]
        return self._create(specs, ids, idempotency=idempotency, new_queue=new_queue, budget=budget)

    def create_each(self, submissions: Sequence[Submission]) -> list[list[Job] | Exception]:
        found: list[list[Job] | Exception] = []
        for each in submissions:
            try:
                jobs = self.create(
                    each.specs,
                    idempotency=each.idempotency,
                    new_queue=each.new_queue,
                    budget=each.budget,
                )
            except Exception as error:  # noqa: BLE001 - also a job that cannot be written: the others are stored
                found.append(error)
            else:
                found.append(jobs)
        return found

    def create_many(
        self,
        specs: Sequence[JobSpec],
        ids: Sequence[str] = (),
        *,
        unretried: bool = False,
        budget: Budget = NO_BUDGET,
    ) -> int:
        ids = ids or [new_job_id() for _ in specs]
        return len(self._create(specs, ids, unretried=unretried, budget=budget))

    def _create(
        self,
        specs: Sequence[JobSpec],
        ids: Sequence[str],
        *,
        idempotency: Idempotency | None = None,
        new_queue: QueueLimits | None = None,
        unretried: bool = False,
        budget: Budget = NO_BUDGET,
    ) -> list[Job]:
        contents, tenant = self._contents, specs[0].tenant
        with contents.lock:
            if idempotency and (before := self._remembered(tenant, idempotency)):
                return [contents.view(contents.jobs[i]) for i in before.ids if i in contents.jobs]
            home = contents.homes.get(tenant)
            if home is None or not home.is_open:
                if home is not None or not contents.options.auto_open:
                    raise AsrBucketUnBinded
                contents.check_budget(specs[0].credential, budget, len(specs))
                home = contents.open_tenant(tenant, new_queue)
            new = {
                job_id: replace(spec, queue_id=spec.queue_id or home.queue_id)
                for job_id, spec in zip(ids, specs, strict=True)
                if job_id not in contents.jobs and not contents.drops(spec)
            }
            new = self._without_retried(new, unretried=unretried)
            counted = [spec for spec in new.values() if not contents.is_counted(spec)]
            if counted:
                contents.check_budget(counted[0].credential, budget, len(counted))
            self._check_queues(tenant, list(new.values()))
            found = [wake_up for job_id, spec in new.items() for wake_up in self._add(job_id, spec)]
            contents.make_room(tenant, 10 * len(new))
            if idempotency:
                expires_at = contents.clock() + round(contents.options.idempotency_hours * 3600e6)
                contents.idempotency[tenant, idempotency.key] = Remembered(
                    idempotency.body_sha256, list(ids), expires_at
                )
            created = [contents.view(contents.jobs[job_id]) for job_id in ids if job_id in contents.jobs]
        self._contents.send(found)
        return created

    def repeated(self, tenant: Tenant, idempotency: Idempotency) -> list[Job] | None:
        contents = self._contents
        with contents.lock:
            before = self._remembered(tenant, idempotency)
            if before is None:
                return None
            return [contents.view(contents.jobs[each]) for each in before.ids if each in contents.jobs]

    def _remembered(self, tenant: Tenant, idempotency: Idempotency) -> Remembered | None:
        """Return the answer to an idempotency key.

        Raises:
            IdempotencyConflict: The key was used with another body.
        """
        before = self._contents.idempotency.get((tenant, idempotency.key))
        if before is None or before.expires_at <= self._contents.clock():
            return None
        if before.body_sha256 != idempotency.body_sha256:
            raise IdempotencyConflict
        return before

    def _without_retried(self, new: Mapping[str, JobSpec], *, unretried: bool) -> dict[str, JobSpec]:
        """Return new jobs; without those whose origin is retried already, if so asked.

        Raises:
            RowRetried: One of these retries a row of a batch.
        """
        kept: dict[str, JobSpec] = {}
        retries = {job.id: job.retried_by for job in self._contents.jobs.values() if job.retried_by}
        for job_id, spec in new.items():
            retry = retries.get(spec.origin)
            if retry and not unretried and spec.batch:
                raise retried_already(spec.origin, retry)
            if retry and unretried:
                continue
            kept[job_id] = spec
            if spec.origin:
                retries[spec.origin] = job_id
        return kept

    def _check_queues(self, tenant: Tenant, specs: Sequence[JobSpec]) -> None:
        """Check that the queues exist and have room.

        Raises:
            QueueNotFound: The tenant has no such queue.
            QueueFull: A queue would hold more waiting jobs than it may.
            BucketFull: The bucket's jobs that have not ended have reached their limit of memory.
        """
        contents = self._contents
        if specs and not contents.may_take_more(tenant):
            raise BucketFull
        for queue_id, count in Counter(spec.queue_id for spec in specs).items():
            queue = contents.queues.get(queue_id)
            if queue is None or queue.tenant != tenant:
                raise QueueNotFound
            waiting = sum(len(contents.waiting(queue_id, level)) for level in LEVELS)
            waiting += sum(contents.jobs[job_id].spec.queue_id == queue_id for job_id in contents.delayed)
            if waiting + count > queue.max_size:
                raise QueueFull
            wanted = {spec.wants for spec in specs if spec.queue_id == queue_id} - COMMON
            if wanted and len(wanted | set(contents.wanted(queue_id))) > MAX_WANTED:
                raise QueueFull

    def _add(self, job_id: str, spec: JobSpec) -> list[WakeUp]:
        """Store a job; return its wake-up if it may start now."""
        contents = self._contents
        contents.last_created = max(contents.clock(), contents.last_created + 1)  # unique and increasing
        job = Job(job_id, spec, State.SUBMITTED, contents.last_created)
        contents.weigh(job, records.text(records.SPEC, spec), records.RECORD_BYTES)
        contents.jobs[job.id] = job
        if spec.weight is not None:
            known = contents.shares.get(spec.credential, Share(spec.credential))
            contents.shares[spec.credential] = replace(known, weight=spec.weight)
        if spec.hop:
            contents.hops[job.id] = max(contents.clock(), spec.not_before or 0) + spec.hop.wait_s * 1_000_000
        if spec.not_before is not None and spec.not_before > contents.clock():
            contents.delayed[job.id] = spec.not_before
        if spec.origin in contents.jobs:
            contents.jobs[spec.origin] = replace(contents.jobs[spec.origin], retried_by=job.id)
            contents.reopen_batch(spec.batch)
        contents.totals["created"] += 1
        if not contents.is_counted(spec):
            contents.use(spec, jobs=1)
        contents.publish_job(job)
        contents.refresh(spec.queue_id)
        if job.id in contents.delayed:
            return []
        # With more waiting than may run, the end of each job sends the wake-up for the next.
        wants = contents.line_wants(job)
        is_ready = spec.queue_id in contents.ready[spec.level, wants]
        room = contents.room(spec.queue_id, spec.level)
        if not is_ready or len(contents.waiting(spec.queue_id, spec.level, wants)) > room:
            return []
        return [WakeUp(spec.level, job.id, wants)] if not wants or contents.is_served(wants) else []
