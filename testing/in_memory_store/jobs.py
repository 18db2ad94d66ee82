"""Jobs in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from stemline.jobs.batch import retried_already
from stemline.jobs.errors import (
    AsrBucketUnBinded,
    CancelAsked,
    IdempotencyConflict,
    IllegalTransition,
    QueueFull,
    QueueNotFound,
    RequestRefused,
)
from stemline.jobs.estimate import mean_run
from stemline.jobs.history import Step, StepKind
from stemline.jobs.ids import new_job_id
from stemline.jobs.job import Job, JobSpec, Result, Waveform
from stemline.jobs.queue import USUAL_WEIGHT, QueueLimits
from stemline.jobs.share import Share
from stemline.jobs.states import ENDED, State
from stemline.jobs.store import (
    Counted,
    Idempotency,
    JobFilter,
    JobRepository,
    Listing,
    Page,
    Reuse,
    WakeUp,
    records,
)
from stemline.jobs.store.snapshot import LEVELS
from stemline.jobs.store.values import Uploads
from stemline.jobs.tenant import Tenant
from stemline.jobs.text import cut
from stemline.jobs.usage import NO_BUDGET, Budget
from stemline.testing.in_memory_store.state import Contents, Remembered

_DAY_US = 86_400_000_000


class InMemoryJobs(JobRepository):
    """Jobs in memory."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents

    # Submission and queries

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
                if not contents.options.auto_open:
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
        self._notify(found)
        return created

    def get(self, tenant: Tenant, ids: Sequence[str]) -> list[Job | None]:
        found = [self.find(job_id) for job_id in ids]
        return [job if job and job.spec.tenant == tenant else None for job in found]

    def find(self, job_id: str) -> Job | None:
        with self._contents.lock:
            job = self._contents.jobs.get(job_id)
            return None if job is None else self._contents.shown(job)

    def waveforms(self, tenant: Tenant, job_id: str) -> tuple[Waveform, ...] | None:
        if self.get(tenant, [job_id]) == [None]:
            return None
        return self._contents.waveforms.get(job_id, ())

    def history(self, job_id: str) -> list[Step]:
        with self._contents.lock:
            return list(self._contents.history.get(job_id, ()))

    def search(self, tenant: Tenant, which: JobFilter) -> Page[Job]:
        with self._contents.lock:
            jobs = [self._contents.view(job) for job in self._contents.jobs.values()]
            jobs = [job for job in jobs if job.spec.tenant == tenant and _matches(job, which)]
            jobs.sort(key=lambda job: job.created, reverse=which.order == "Desc")
            items = [self._contents.shown(self._contents.jobs[job.id]) for job in jobs[: which.size]]
        return Page(items, str(items[-1].created) if len(jobs) > len(items) else None)

    def count(self, tenant: Tenant, which: JobFilter) -> Counted:
        page = self.search(tenant, replace(which, order="Asc"))
        return Counted(len(page.items), page.cursor)

    def cancel_where(self, tenant: Tenant, which: JobFilter) -> Counted:
        contents, count = self._contents, 0
        with contents.lock:
            page = self.search(tenant, replace(which, order="Asc"))
            for job in page.items:
                is_kept = job.state is State.RUNNING and not contents.options.cancel_running
                if job.state not in ENDED and not is_kept:
                    self.cancel(tenant, [job.id])
                    count += 1
        return Counted(count, page.cursor)

    def browse(self, tenant: Tenant, state: State | None, *, offset: int, size: int) -> Listing[Job]:
        stored = State.SUBMITTED if state is State.PAUSE else state
        contents = self._contents
        with contents.lock:
            jobs = [
                job
                for job in reversed(contents.jobs.values())
                if job.spec.tenant == tenant and stored in {None, job.state}
            ]
            return Listing([contents.shown(job) for job in jobs[offset : offset + size]], len(jobs))

    def cancel(self, tenant: Tenant, ids: Sequence[str]) -> None:
        contents = self._contents
        with contents.lock:
            jobs = dict.fromkeys(ids)
            for job_id in jobs:
                job = contents.jobs.get(job_id)
                if job is None or job.spec.tenant != tenant:
                    raise RequestRefused(f"The job {job_id} does not exist.")
                is_kept = job.state is State.RUNNING and not contents.options.cancel_running
                if is_kept or job.state in {State.SUCCESS, State.FAILED}:
                    raise IllegalTransition(f"The job {job_id} is {job.state} and cannot be cancelled.")
            for job_id in jobs:
                job = contents.jobs[job_id]
                if job.state is State.SUBMITTED:
                    contents.finish(job, State.CANCEL, "Success", "")
                    contents.refresh(job.spec.queue_id)
                elif job.state is State.RUNNING:
                    contents.jobs[job_id] = replace(job, cancel_requested=True)

    # Attempts

    def claim(self, worker: str, levels: Sequence[int]) -> Job | None:
        contents = self._contents
        with contents.lock:
            contents.end_overrides()
            while (job := contents.best(levels)) is not None and contents.expire(job):
                pass
            if job is None:
                return None
            queue_id, level = job.spec.queue_id, job.spec.level
            contents.end_turn(job)
            running = contents.move(job, State.RUNNING)
            contents.jobs[job.id] = replace(
                running,
                token=contents.next_token(job),
                attempt=job.attempt + 1,
                claims=job.claims + 1,
                started=contents.clock(),
                worker=worker,
                progress=0,
                message="",
                stage="",
            )
            contents.publish_job(contents.jobs[job.id])
            contents.note(job.id, StepKind.CLAIMED, worker)
            self._contents.extend_lease(job.id)
            contents.expected_ends.pop(job.id, None)
            turn = contents.ready[level][queue_id]
            contents.last_turn[level] = turn
            after = turn + USUAL_WEIGHT / contents.queues[queue_id].turns
            contents.next_turn[queue_id, level] = contents.ready[level][queue_id] = after
            contents.refresh(queue_id)
            return contents.jobs[job.id]

    def heartbeat(
        self,
        job_id: str,
        token: int,
        progress: int,
        device: str = "",
        stage: str = "",
        *,
        remaining_s: float | None = None,
    ) -> bool:
        contents = self._contents
        with contents.lock:
            job = contents.current(job_id, token)
            contents.extend_lease(job_id)
            known = replace(job, progress=progress, device=device or job.device, stage=stage)
            contents.jobs[job_id] = known
            if remaining_s is not None:
                contents.expected_ends[job_id] = contents.clock() + round(remaining_s * 1e6)
            if stage not in {job.stage, ""}:
                contents.note(job_id, StepKind.STAGE, stage)
            if (job.progress, job.stage) != (progress, stage):
                contents.publish_job(known)
            return job.cancel_requested

    def register_uploads(self, job_id: str, token: int, uploads: Sequence[Mapping[str, Any]]) -> None:
        with self._contents.lock:
            job = self._contents.current(job_id, token)
            self._contents.jobs[job_id] = replace(job, uploads=tuple(uploads))

    def reuse(self, job_id: str, token: int, digest: str, *, without: str = "") -> Reuse:
        contents = self._contents
        with contents.lock:
            current = contents.current(job_id, token)
            if current.cancel_requested:
                raise CancelAsked
            key = (current.spec.tenant, digest)
            done = contents.jobs.get(contents.reusable.get(key, ""))
            if done is not None and done.id != without and done.state is State.SUCCESS:
                return Reuse(done=done.id)
            contents.reusable.pop(key, None)
            leader = contents.leaders.get(key)
            if leader in {None, job_id}:
                contents.leaders[key] = job_id
                return Reuse()
            contents.followers[leader].add(job_id)
            contents.jobs[job_id] = replace(current, claims=current.claims - 1)  # it was not put off
        reason = f"The job waits for an equal one, {leader}, that runs."
        self.release(current, delay_s=300, reason=reason)
        return Reuse(waits=True)

    def succeed(
        self, job: Job, result: Result, waveforms: Sequence[Waveform] = (), *, digest: str = ""
    ) -> None:
        if digest and self._contents.jobs[job.id].state is State.RUNNING:
            with self._contents.lock:
                self._contents.current(job.id, job.token)
                if not self._contents.jobs[job.id].cancel_requested:
                    self._contents.reusable[job.spec.tenant, digest] = job.id
        self._finish(job, State.SUCCESS, "Success", "", result, waveforms=waveforms)

    def fail(self, job: Job, code: str, message: str, *, leftovers: Uploads = ()) -> None:
        self._finish(job, State.FAILED, code, message, leftovers=leftovers)

    def confirm_cancel(self, job: Job, *, leftovers: Uploads = ()) -> None:
        self._finish(job, State.CANCEL, "Success", "", leftovers=leftovers)

    def release(
        self,
        job: Job,
        *,
        delay_s: float = 0.0,
        counts: bool = False,
        reason: str = "",
        leftovers: Uploads = (),
    ) -> None:
        contents = self._contents
        with contents.lock:
            current = self._contents.current(job.id, job.token)
            if current.cancel_requested:
                raise CancelAsked
            reason = cut(reason)
            contents.leave(current, leftovers)
            del contents.leases[job.id]
            attempt = current.attempt if counts else current.attempt - 1
            waiting = contents.move(current, State.SUBMITTED)
            contents.jobs[job.id] = replace(
                waiting,
                attempt=attempt,
                started=None,
                worker="",
                uploads=(),
                progress=0,
                stage="",
                message=reason,
            )
            contents.note(job.id, StepKind.FAILED if counts else StepKind.RELEASED, reason)
            contents.publish_job(contents.jobs[job.id])
            if delay_s > 0:
                contents.delayed[job.id] = contents.clock() + round(delay_s * 1e6)
            contents.refresh(job.spec.queue_id)
            found = contents.free_followers(job.id)
            contents.expire(contents.jobs[job.id])
            found += contents.wake_ups(job.spec.queue_id, job.spec.level, 1)
        self._notify(found)

    # The sweeper's work

    def expired(self, limit: int = 100) -> list[str]:
        contents = self._contents
        with contents.lock:
            now = contents.clock()
            ends = sorted((end, job_id) for job_id, end in contents.leases.items() if end <= now)
        return [job_id for _, job_id in ends[:limit]]

    def reclaim(self, job_id: str, sweeper: str) -> Job | None:
        contents = self._contents
        with contents.lock:
            if contents.leases.get(job_id, contents.clock() + 1) > contents.clock():
                return None
            job = contents.jobs[job_id]
            contents.jobs[job_id] = replace(job, token=contents.next_token(job), worker=sweeper)
            self._contents.extend_lease(job_id)
            contents.totals["leases_lost"] += 1
            contents.note(job_id, StepKind.RECLAIMED, sweeper)
            return contents.jobs[job_id]

    def promote(self, limit: int = 1000) -> None:
        contents = self._contents
        found: list[WakeUp] = []
        with contents.lock:
            now = contents.clock()
            due = sorted((at, job_id) for job_id, at in contents.delayed.items() if at <= now)
            for _, job_id in due[:limit]:
                del contents.delayed[job_id]
                spec = contents.jobs[job_id].spec
                contents.refresh(spec.queue_id)
                found += contents.wake_ups(spec.queue_id, spec.level, 1)
            found += self._hop(now, limit)
            found += contents.end_overrides()
        self._notify(found)

    def _hop(self, now: int, limit: int) -> list[WakeUp]:
        """Change the level of jobs that have waited for long; return wake-ups."""
        contents = self._contents
        found: list[WakeUp] = []
        due = sorted((at, job_id) for job_id, at in contents.hops.items() if at <= now)
        for _, job_id in due[:limit]:
            del contents.hops[job_id]
            job = contents.jobs[job_id]
            if job.state is State.SUBMITTED and job.spec.hop:
                spec = replace(job.spec, level=job.spec.hop.level)
                contents.jobs[job_id] = replace(job, spec=spec)
                contents.totals["hopped"] += 1
                contents.publish_job(contents.jobs[job_id])
                contents.refresh(spec.queue_id)
                found += contents.wake_ups(spec.queue_id, spec.level, 1)
        return found

    def expire(self, limit: int = 1000) -> int:  # noqa: ARG002 - there are few
        contents = self._contents
        with contents.lock:
            return sum(contents.expire(job) for job in list(contents.jobs.values()))

    def startable(self, level: int, limit: int) -> list[WakeUp]:
        contents = self._contents
        found: list[WakeUp] = []
        with contents.lock:
            for _, queue_id in sorted((turn, queue_id) for queue_id, turn in contents.ready[level].items()):
                found += contents.wake_ups(queue_id, level, limit - len(found))
        return found

    def prune(self, limit: int = 500) -> int:
        contents = self._contents
        with contents.lock:
            now = contents.clock()
            jobs_before = now - round(contents.options.retention_days * _DAY_US)
            dead_before = now - round(contents.options.dead_letter_days * _DAY_US)
            ended = sorted((job.ended, job.id) for job in contents.jobs.values() if job.ended is not None)
            old_jobs = [job_id for at, job_id in ended if at < jobs_before][:limit]
            for job_id in old_jobs:
                contents.delete_job(job_id)
            old_letters = [name for name, at in contents.dead.items() if at < dead_before][:limit]
            for name in old_letters:
                for part in (contents.deliveries, contents.outbox, contents.dead):
                    part.pop(name, None)
        return len(old_jobs) + len(old_letters)

    # What the methods above share

    def _notify(self, wake_ups: list[WakeUp]) -> None:
        if wake_ups:
            self._contents.notify(wake_ups)

    def _remembered(self, tenant: Tenant, idempotency: Idempotency) -> Remembered | None:
        """Return the answer to an idempotency key.

        Raises:
            IdempotencyConflict: the key was used with another body.
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
            RowRetried: one of these retries a row of a batch.
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
            QueueNotFound: the tenant has no such queue.
            QueueFull: a queue would hold more waiting jobs than it may.
        """
        contents = self._contents
        for queue_id, count in Counter(spec.queue_id for spec in specs).items():
            queue = contents.queues.get(queue_id)
            if queue is None or queue.tenant != tenant:
                raise QueueNotFound
            waiting = sum(len(contents.waiting(queue_id, level)) for level in LEVELS)
            waiting += sum(contents.jobs[job_id].spec.queue_id == queue_id for job_id in contents.delayed)
            if waiting + count > queue.max_size:
                raise QueueFull

    def _add(self, job_id: str, spec: JobSpec) -> list[WakeUp]:
        """Store a job; return its wake-up if it may start now."""
        contents = self._contents
        contents.last_created = max(contents.clock(), contents.last_created + 1)  # unique and increasing
        job = Job(job_id, spec, State.SUBMITTED, contents.last_created)
        contents.jobs[job.id] = job
        contents.weigh(job, records.text(records.SPEC, spec), records.RECORD_BYTES)
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
        is_ready = spec.queue_id in contents.ready[spec.level]
        if is_ready and len(contents.waiting(spec.queue_id, spec.level)) <= contents.room(
            spec.queue_id, spec.level
        ):
            return [WakeUp(spec.level, job.id)]
        return []

    def _finish(
        self,
        job: Job,
        to: State,
        code: str,
        message: str,
        result: Result | None = None,
        *,
        waveforms: Sequence[Waveform] = (),
        leftovers: Uploads = (),
    ) -> None:
        contents = self._contents
        with contents.lock:
            known = contents.jobs.get(job.id)
            if known is not None and (known.state, known.token) == (to, job.token) and known.worker:
                return  # the call is repeated
            current = self._contents.current(job.id, job.token)
            if to is State.SUCCESS and current.cancel_requested:
                raise CancelAsked
            contents.leave(current, leftovers)
            self._use(current, to, result)
            if result is not None and result.reused:
                contents.totals["reused"] += 1
            elif to is State.SUCCESS:
                run, queue = contents.clock() - (current.started or 0), current.spec.queue_id
                contents.mean_runs[queue] = mean_run(contents.mean_runs.get(queue), run)
            if result is not None:
                contents.weigh(job, records.text(records.RESULT, result))
                current = replace(current, result=result, progress=100)
                if waveforms:
                    contents.waveforms[job.id] = tuple(waveforms)
            found = contents.finish(current, to, code, cut(message))
            queue_id = job.spec.queue_id
            contents.refresh(queue_id)
            levels = (contents.wake_ups(queue_id, level, 1) for level in sorted(LEVELS, reverse=True))
            found = found or next((wake_ups for wake_ups in levels if wake_ups), [])
        self._notify(found)

    def _use(self, job: Job, to: State, result: Result | None) -> None:
        contents = self._contents
        if to is not State.CANCEL:
            work_ms = (contents.clock() - (job.started or 0)) // 1000
            ended = "succeeded" if to is State.SUCCESS else "failed"
            contents.use(job.spec, **{ended: 1, f"work_ms:{job.device}": work_ms})
        if result is not None:
            audio_ms, bytes_in, bytes_out = result.usage()
            contents.use(job.spec, audio_ms=audio_ms, bytes_in=bytes_in, bytes_out=bytes_out)


def _matches(job: Job, which: JobFilter) -> bool:
    """Return whether a job as clients see it passes a filter."""
    cursor = None if which.cursor is None else int(which.cursor)
    is_after = cursor is None or (job.created < cursor if which.order == "Desc" else job.created > cursor)
    return (
        is_after
        and (not which.states or job.state in which.states)
        and (not which.queue_id or job.spec.queue_id == which.queue_id)
        and (which.start is None or job.created >= which.start)
        and (which.end is None or job.created <= which.end)
        and (which.input_object is None or job.spec.input_object == which.input_object)
        and job.spec.input_object.startswith(which.prefix)
        and which.level in {None, job.spec.level}
        and which.batch in {"", job.spec.batch}
        and not (which.unretried and job.retried_by)
    )
