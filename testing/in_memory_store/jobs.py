"""Jobs in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from stemline.jobs.errors import (
    IllegalTransition,
    RequestRefused,
)
from stemline.jobs.history import Step
from stemline.jobs.job import Job, Waveform
from stemline.jobs.serving import Demand
from stemline.jobs.states import ENDED, State
from stemline.jobs.store import (
    Counted,
    JobFilter,
    JobRepository,
    Listing,
    Page,
    WakeUp,
    records,
)
from stemline.jobs.tenant import Tenant
from stemline.testing.in_memory_store.contents import Contents
from stemline.testing.in_memory_store.submissions import Submissions

_DAY_US = 86_400_000_000


class InMemoryJobs(Submissions, JobRepository):
    """Jobs in memory."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents

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
            items = [self._contents.shown(self._contents.jobs[job.id]) for job in _page(jobs, which.size)]
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
        self._contents.send(found)

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

    def startable(self, level: int, limit: int, wants: str = "") -> list[WakeUp]:
        contents = self._contents
        found: list[WakeUp] = []
        with contents.lock:
            turns = contents.ready[level, wants]
            for _, queue_id in sorted((turn, queue_id) for queue_id, turn in turns.items()):
                found += contents.wake_ups_of(queue_id, level, wants, limit - len(found))
        return found

    def demands(self, limit: int = 100) -> list[Demand]:
        with self._contents.lock:
            return self._contents.demands(limit)

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


def _page(jobs: Sequence[Job], size: int) -> list[Job]:
    """Return the first jobs of a list, so many at most, fewer where they are large."""
    found: list[Job] = []
    left = records.PAGE_BYTES
    for job in jobs[:size]:
        if left <= 0:
            break
        found.append(job)
        left -= len(records.text(records.SPEC, job.spec))
    return found
