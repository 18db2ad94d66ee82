"""Jobs in Redis: every change of a job is one script."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from stemline.jobs.batch import retried_already
from stemline.jobs.errors import (
    AsrBucketUnBinded,
    BindedBucketNumLimit,
    BucketFull,
    BudgetSpent,
    IdempotencyConflict,
    IllegalTransition,
    QueueFull,
    QueueNotFound,
    RequestRefused,
    StemlineError,
)
from stemline.jobs.history import Step
from stemline.jobs.ids import new_job_id, queue_id_of
from stemline.jobs.job import Job, JobSpec, Waveform
from stemline.jobs.queue import QueueLimits
from stemline.jobs.serving import Demand
from stemline.jobs.states import State
from stemline.jobs.store import records
from stemline.jobs.store.connection import Connection
from stemline.jobs.store.protocols import JobRepository
from stemline.jobs.store.statistics import read_demands
from stemline.jobs.store.usage import budget_arguments
from stemline.jobs.store.values import (
    Counted,
    Idempotency,
    JobFilter,
    Listing,
    Page,
    Submission,
    WakeUp,
)
from stemline.jobs.tenant import Tenant
from stemline.jobs.usage import NO_BUDGET, Budget

_CREATE_ERRORS = {
    "conflict": IdempotencyConflict,
    "not-open": AsrBucketUnBinded,
    "limit": BindedBucketNumLimit,
    "no-queue": QueueNotFound,
    "full": QueueFull,
    "heavy": BucketFull,
    "spent": BudgetSpent,
}
_DAY_US = 86_400_000_000

T = TypeVar("T")


class RedisJobs(JobRepository):
    """Jobs in Redis."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(
        self,
        specs: Sequence[JobSpec],
        *,
        idempotency: Idempotency | None = None,
        new_queue: QueueLimits | None = None,
        budget: Budget = NO_BUDGET,
    ) -> list[Job]:
        (found,) = self.create_each([Submission(specs, idempotency, new_queue, budget)])
        if isinstance(found, Exception):
            raise found
        return found

    def create_each(self, submissions: Sequence[Submission]) -> list[list[Job] | Exception]:
        specs = [{new_job_id(): spec for spec in each.specs} for each in submissions]
        calls = [_outcome(self._creation, each, [*new]) for each, new in zip(submissions, specs, strict=True)]
        sent = [call for call in calls if not isinstance(call, Exception)]
        answers = iter(self._connection.run_each("create", sent) if sent else ())
        return [
            call if isinstance(call, Exception) else _outcome(self._shown, next(answers), new)
            for call, new in zip(calls, specs, strict=True)
        ]

    def _shown(self, answer: list[Any] | StemlineError, new: Mapping[str, JobSpec]) -> list[Job]:
        """Return the jobs of an answer, which holds of a new job only what its specification lacks."""
        found: list[Job | None] = []
        for kind, row in self._created(answer)[1]:
            if kind == "new":
                job_id, created, queue, state = row
                spec = replace(new[job_id], queue_id=queue)
                found.append(Job(id=job_id, spec=spec, state=State(state), created=int(created)))
            else:
                found.append(records.job(row))
        return [job for job in found if job is not None]

    def repeated(self, tenant: Tenant, idempotency: Idempotency) -> list[Job] | None:
        connection = self._connection
        key = connection.key("idempotency", str(tenant), idempotency.key)
        found = connection.read_confirmed("GET", key)
        if not found:
            return None
        before = json.loads(found)
        if before["body"] != idempotency.body_sha256:
            raise IdempotencyConflict
        return [job for job in self.get(tenant, before["ids"]) if job]

    def create_many(
        self,
        specs: Sequence[JobSpec],
        ids: Sequence[str] = (),
        *,
        unretried: bool = False,
        budget: Budget = NO_BUDGET,
    ) -> int:
        ids = ids or [new_job_id() for _ in specs]
        call = self._creation(Submission(specs, budget=budget), ids, unretried=unretried, shown=False)
        return int(self._created(self._connection.run("create", *call))[3])

    def _creation(
        self, submission: Submission, ids: Sequence[str], *, unretried: bool = False, shown: bool = True
    ) -> list[str | float]:
        """Return the arguments of the script that creates jobs."""
        options, specs, idempotency = self._connection.options, submission.specs, submission.idempotency
        limits = submission.new_queue or options.queue_limits
        tenant = specs[0].tenant
        rows: list[str] = []
        for job_id, spec in zip(ids, specs, strict=True):
            text, digest = records.text(records.SPEC, spec), records.digest(spec.input_object)
            rows += [job_id, text, str(spec.level), digest, spec.queue_id, spec.origin]
            rows += ["" if time is None else str(time) for time in (spec.not_before, spec.deadline)]
            rows += [spec.batch, *_hop(spec), spec.wants]
        return [
            str(tenant),
            int(options.auto_open),
            queue_id_of(tenant),
            limits.max_size,
            limits.max_concurrent,
            options.buckets_per_region,
            idempotency.key if idempotency else "",
            idempotency.body_sha256 if idempotency else "",
            round(options.idempotency_hours * 3600),
            int(shown),
            specs[0].credential,
            "" if specs[0].weight is None else specs[0].weight,
            *budget_arguments(submission.budget),
            int(unretried),
            options.job_bytes_per_bucket,
            *rows,
        ]

    def _created(self, answer: list[Any] | StemlineError) -> list[Any]:
        """Send the wake-ups of the script and return its answer.

        Raises:
            StemlineError: Nothing was stored.
        """
        if isinstance(answer, StemlineError):
            raise answer
        if answer[0] in _CREATE_ERRORS:
            raise _CREATE_ERRORS[answer[0]]
        if answer[0] == "retried":
            raise retried_already(answer[1], answer[2])
        if answer[0] == "ok":
            self._connection.wake_up(answer[2])
        return answer

    def get(self, tenant: Tenant, ids: Sequence[str]) -> list[Job | None]:
        found = self._connection.run("get", str(tenant), self._connection.options.level_ageing_us, *ids)
        return [records.job(record) for record in found]

    def find(self, job_id: str) -> Job | None:
        return records.job(
            self._connection.run("get", "", self._connection.options.level_ageing_us, job_id)[0]
        )

    def waveforms(self, tenant: Tenant, job_id: str) -> tuple[Waveform, ...] | None:
        if self.get(tenant, [job_id]) == [None]:
            return None
        connection = self._connection
        found = connection.read(connection.client.get, connection.key("waveforms", job_id))
        return records.WAVEFORMS.validate_json(found) if found else ()

    def history(self, job_id: str) -> list[Step]:
        connection = self._connection
        found = connection.read(connection.client.lrange, connection.key("history", job_id), 0, -1)
        return [Step.read(entry) for entry in found]

    def search(self, tenant: Tenant, which: JobFilter) -> Page[Job]:
        found, cursor = self._connection.run(
            "list",
            str(tenant),
            which.order,
            "-inf" if which.start is None else which.start,
            "+inf" if which.end is None else which.end,
            which.cursor or "",
            which.size,
            "" if which.is_brief else self._connection.options.level_ageing_us,
            *_criteria(which),
        )
        return Page([job for record in found if (job := records.job(record))], cursor or None)

    def count(self, tenant: Tenant, which: JobFilter) -> Counted:
        return self._select(tenant, which, "count")

    def cancel_where(self, tenant: Tenant, which: JobFilter) -> Counted:
        return self._select(tenant, which, "cancel")

    def _select(self, tenant: Tenant, which: JobFilter, action: str) -> Counted:
        answer = self._connection.run(
            "select",
            str(tenant),
            action,
            "-inf" if which.start is None else which.start,
            "+inf" if which.end is None else which.end,
            which.cursor or "",
            which.size,
            int(self._connection.options.cancel_running),
            *_criteria(which),
        )
        return Counted(int(answer[0]), str(answer[1]) or None)

    def browse(self, tenant: Tenant, state: State | None, *, offset: int, size: int) -> Listing[Job]:
        stored = State.SUBMITTED if state is State.PAUSE else state
        total, found = self._connection.run(
            "browse", str(tenant), stored or "", offset, size, self._connection.options.level_ageing_us
        )
        return Listing([job for record in found if (job := records.job(record))], total)

    def cancel(self, tenant: Tenant, ids: Sequence[str]) -> None:
        cancel_running = int(self._connection.options.cancel_running)
        answer = self._connection.run("cancel", str(tenant), cancel_running, *ids)
        if answer[0] == "unknown":
            raise RequestRefused(f"The job {answer[1]} does not exist.")
        if answer[0] == "refused":
            raise IllegalTransition(f"The job {answer[1]} is {answer[2]} and cannot be cancelled.")

    def promote(self, limit: int = 1000) -> None:
        self._connection.wake_up(self._connection.run("promote", limit))

    def expire(self, limit: int = 1000) -> int:
        return int(self._connection.run("expire", limit))

    def startable(self, level: int, limit: int, wants: str = "") -> list[WakeUp]:
        rows = self._connection.run("startable", level, limit, wants)
        return [WakeUp(int(found), job_id, wanted) for found, job_id, wanted in rows]

    def demands(self, limit: int = 100) -> list[Demand]:
        return read_demands(self._connection.run("demands", limit))

    def prune(self, limit: int = 500) -> int:
        options, now = self._connection.options, self._connection.now()
        jobs_before = now - round(options.retention_days * _DAY_US)
        dead_before = now - round(options.dead_letter_days * _DAY_US)
        return int(self._connection.run("prune", jobs_before, dead_before, limit))


def _outcome(call: Callable[..., T], *args: Any) -> T | Exception:
    """Return what a call returns, or its error, which is that of one submission among several."""
    try:
        return call(*args)
    except Exception as error:  # noqa: BLE001 - also a record that cannot be read
        return error


def _hop(spec: JobSpec) -> tuple[str, str]:
    return (str(spec.hop.wait_s * 1_000_000), str(spec.hop.level)) if spec.hop else ("", "")


def _criteria(which: JobFilter) -> list[str | int]:
    """Return the arguments of ``criteria`` in lib/search.lua."""
    return [
        which.queue_id or "",
        records.digest(which.input_object) if which.input_object is not None else "",
        "" if which.level is None else which.level,
        which.prefix,
        int(which.unretried),
        which.batch,
        *sorted(which.states or ()),
    ]
