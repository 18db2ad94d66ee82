"""Jobs in the store: submission, queries, and the life of an attempt."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stemline.jobs.callback_target import callback_target
from stemline.jobs.errors import (
    AsrBucketUnBinded,
    CancelAsked,
    IdempotencyConflict,
    IllegalTransition,
    LeaseLost,
    QueueFull,
    QueueNotFound,
    RequestRefused,
)
from stemline.jobs.ids import new_job_id, new_queue_id
from stemline.jobs.job import Job, JobSpec, Result
from stemline.jobs.states import State
from stemline.jobs.store import records
from stemline.jobs.store.base import Page, Repository, WakeUp
from stemline.jobs.tenant import Tenant


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A client's promise that two requests are one."""

    key: str
    body_sha256: str


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs a list shows; times in µs, both bounds inclusive."""

    states: frozenset[State] | None = None
    """``None``: all."""
    queue_id: str | None = None
    start: int | None = None
    end: int | None = None
    input_object: str | None = None
    order: str = "Desc"
    size: int = 10
    cursor: str | None = None


class JobRepository(Repository):
    """The part of the store that keeps jobs."""

    # -- the submission side

    def create(self, specs: Sequence[JobSpec], *, idempotency: Idempotency | None = None) -> list[Job]:
        """Store jobs of one tenant, all or none, and notify workers.

        Raises:
            AsrBucketUnBinded: the service is not opened for the bucket.
            QueueNotFound: a job names an unknown queue.
            QueueFull: a queue would hold more waiting jobs than it may.
            IdempotencyConflict: the key was used with another body.
            StoreUnavailable: nothing is known to be stored.
        """
        tenant = specs[0].tenant
        rows: list[str] = []
        ids = [new_job_id() for _ in specs]
        for job_id, spec in zip(ids, specs, strict=True):
            spec_text = records.text(records.SPEC, spec)
            rows += [job_id, spec_text, str(spec.level), records.digest(spec.input_object), spec.queue_id]
        settings = self.settings
        answer = self.scripts.run(
            "create",
            str(tenant),
            int(settings.tenants.auto_open),
            new_queue_id(),
            settings.tenants.queue_max_size,
            settings.tenants.queue_max_concurrent,
            idempotency.key if idempotency else "",
            idempotency.body_sha256 if idempotency else "",
            round(settings.jobs.idempotency_hours * 3600),
            *rows,
        )
        refusals = {
            "conflict": IdempotencyConflict,
            "unopened": AsrBucketUnBinded,
            "no-queue": QueueNotFound,
            "full": QueueFull,
        }
        if answer[0] in refusals:
            raise refusals[answer[0]]
        if answer[0] == "ok":
            self.notify(answer[2])
        return [job for record in answer[1] if (job := self._job(record))]

    def get(self, tenant: Tenant, ids: Sequence[str]) -> list[Job | None]:
        """Jobs in the order asked for; ``None`` where the tenant has no such job."""
        return [self._job(r) for r in self.scripts.run("get", str(tenant), *ids)]

    def find(self, job_id: str) -> Job | None:
        """A job of whatever tenant."""
        return self._job(self.scripts.run("get", "", job_id)[0])

    def search(self, tenant: Tenant, which: JobFilter) -> Page[Job]:
        """One page of a tenant's jobs by creation time.

        The cursor is the creation time seen last, so that pages stay stable while new jobs arrive.
        """
        found, cursor = self.scripts.run(
            "list",
            str(tenant),
            which.order,
            "-inf" if which.start is None else which.start,
            "+inf" if which.end is None else which.end,
            which.cursor or "",
            which.size,
            which.queue_id or "",
            records.digest(which.input_object) if which.input_object is not None else "",
            *sorted(which.states or ()),
        )
        return Page([records.job(records.pairs(r)) for r in found], cursor or None)

    def cancel(self, tenant: Tenant, ids: Sequence[str]) -> None:
        """Cancel jobs, all or none; a running one stops soon and then becomes ``Cancel``.

        Raises:
            RequestRefused: an id is unknown.
            IllegalTransition: a job is done, or runs and may not be stopped.
        """
        answer = self.scripts.run("cancel", str(tenant), int(self.settings.jobs.cancel_running), *ids)
        if answer[0] == "unknown":
            raise RequestRefused(f"The job {answer[1]} does not exist.")
        if answer[0] == "refused":
            raise IllegalTransition(f"The job {answer[1]} is {answer[2]} and cannot be cancelled.")

    # -- the worker's side

    def claim(self, worker: str, levels: Sequence[int]) -> Job | None:
        """Give the best waiting job of these levels to a worker, with a lease on it.

        The highest level goes first, then the queue whose turn it is, then the oldest job.
        """
        settings = self.settings
        ageing = round(settings.jobs.level_ageing_s * 1e6)
        lease = round(settings.jobs.lease_s * 1e6)
        record = self.scripts.run("claim", worker, lease, ageing, *sorted(levels, reverse=True))
        return self._job(record or ())

    def heartbeat(self, job_id: str, token: int, progress: int, device: str = "") -> bool:
        """Extend the lease; whether a cancel is asked.

        Raises:
            LeaseLost: another attempt holds the job, or nobody does.
        """
        lease = round(self.settings.jobs.lease_s * 1e6)
        answer = self.scripts.run("heartbeat", job_id, token, lease, progress, device)
        if answer == -1:
            raise LeaseLost
        return bool(answer == 1)

    def register_uploads(self, job_id: str, token: int, uploads: Sequence[Mapping[str, Any]]) -> None:
        """Remember what the attempt has staged, for whoever must take it away.

        Raises:
            LeaseLost: another attempt holds the job.
        """
        if self.scripts.run("uploads", job_id, token, json.dumps(list(uploads))) == -1:
            raise LeaseLost

    def succeed(self, job: Job, result: Result) -> None:
        """End a job as Success.

        Raises:
            CancelAsked: a cancel came first; take the stems away and confirm it.
            LeaseLost: another attempt holds the job.
        """
        self._end(job, State.SUCCESS, "Success", "", records.text(records.RESULT, result))

    def fail(self, job: Job, code: str, message: str) -> None:
        """End a job as Failed.

        Raises:
            LeaseLost: another attempt holds the job.
        """
        self._end(job, State.FAILED, code, message)

    def confirm_cancel(self, job: Job) -> None:
        """End a job as Cancel, after everything of it is taken away.

        Raises:
            LeaseLost: another attempt holds the job.
        """
        self._end(job, State.CANCEL, "Success", "")

    def release(self, job: Job, *, delay_s: float = 0.0, counts: bool = False) -> None:
        """Give a job back, to be claimed again after a delay; the attempt counts or not.

        Raises:
            CancelAsked: a cancel was asked; confirm that instead.
            LeaseLost: another attempt holds the job.
        """
        answer = self.scripts.run("release", job.id, job.token, round(delay_s * 1e6), int(counts))
        self._check(answer)

    # -- the sweeper's side; everything here may run twice at once

    def expired(self, limit: int = 100) -> list[str]:
        """Ids of running jobs whose lease ran out."""
        leases = self.scripts.key("leases")
        found = self.reading(self.client.zrangebyscore, leases, "-inf", self.now(), start=0, num=limit)
        return [str(i) for i in found]

    def reclaim(self, job_id: str, sweeper: str) -> Job | None:
        """Take a job from a worker that gave no sign of life; its old token is worthless from then on.

        ``None`` when somebody else was faster or the worker came back in time.
        """
        lease = round(self.settings.jobs.lease_s * 1e6)
        return self._job(self.scripts.run("reclaim", job_id, sweeper, lease) or ())

    def promote(self, limit: int = 1000) -> None:
        """Let delayed jobs whose time has come be claimed."""
        self.notify(self.scripts.run("promote", limit))

    def startable(self, level: int, limit: int) -> list[WakeUp]:
        """Return wake-ups for jobs of a level that could start now, to compare with those that were sent."""
        return [WakeUp(int(found), job_id) for found, job_id in self.scripts.run("startable", level, limit)]

    def prune(self, limit: int = 500) -> int:
        """Drop ended jobs past their retention; how many there were."""
        now, day = self.now(), 86_400_000_000
        jobs_before = now - round(self.settings.jobs.retention_days * day)
        dead_before = now - round(self.settings.callbacks.dead_letter_days * day)
        return int(self.scripts.run("prune", jobs_before, dead_before, limit))

    def _end(self, job: Job, state: State, code: str, message: str, result: str = "") -> None:
        target = ""
        if state is not State.CANCEL:
            chosen = callback_target(job.spec, self.notify_of(job.spec.queue_id))
            target = records.text(records.TARGET, chosen) if chosen else ""
        answer = self.scripts.run("finish", job.id, job.token, state, code, message, result, target)
        self._check(answer)

    def _check(self, answer: Sequence[Any]) -> None:
        if answer[0] == "lost":
            raise LeaseLost
        if answer[0] == "cancel":
            raise CancelAsked
        self.notify(answer[1])

    @staticmethod
    def _job(record: Sequence[str]) -> Job | None:
        return records.job(records.pairs(record)) if record else None
