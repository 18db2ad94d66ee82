"""Many jobs that are submitted, watched and stopped as one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from enum import StrEnum

from stemline.jobs.callback import CallbackRequest, CallbackTarget
from stemline.jobs.errors import RowRetried
from stemline.jobs.job import JobSpec
from stemline.jobs.tenant import Tenant

MAX_ROWS = 100_000
BATCHES_KEPT = 10_000
"""Batches of a bucket that are kept; beyond, those that have ended are deleted, the oldest first."""


class BatchState(StrEnum):
    """The state of a batch."""

    LOADING = "Loading"
    """Its rows are arriving."""
    ACTIVE = "Active"
    PAUSED = "Paused"
    """None of its jobs starts."""
    CANCEL = "Cancel"
    DONE = "Done"
    """Every row has ended; a retry of one makes it Active again."""


@dataclass(frozen=True, slots=True)
class Row:
    """What is particular to one job of a batch; ``None`` means the value of the batch."""

    object: str
    """Key of the source."""
    user_data: str | None = None
    outputs: tuple[tuple[str, str], ...] = ()
    """Attributes of the ``Output`` that differ, with their names."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch at one moment; times in µs since the epoch."""

    id: str
    tenant: Tenant
    name: str
    spec: JobSpec
    """What its jobs have in common."""
    state: BatchState
    created: int
    ended: int | None = None
    target: CallbackTarget | None = None
    """Where its end is announced."""
    body: str = ""
    """SHA-256 of the rows as they were submitted, hexadecimal."""
    rows: int = 0
    fed: int = 0
    """Rows that have become jobs."""
    waiting: int = 0
    """Rows that wait, including those that are not jobs yet."""
    running: int = 0
    success: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def progress(self) -> int:
        """Share of the rows that have ended, percent."""
        over = self.success + self.failed + self.cancelled
        return 100 * over // self.rows if self.rows else 0


def batch_id(tenant: Tenant, key: str) -> str:
    """Return the id of the batch that a tenant submits under an idempotency key."""
    return "b" + hashlib.sha256(f"{tenant} {key}".encode()).hexdigest()[:32]


def row_job_id(batch: str, number: int) -> str:
    """Return the id of the job of a row: the same however often the row is turned into a job."""
    return "j" + hashlib.sha256(f"{batch} {number}".encode()).hexdigest()[:32]


def retried_already(job_id: str, retry_id: str) -> RowRetried:
    """Return the error for a row that was retried before; it names the job that retries it."""
    return RowRetried(f"The row {job_id} of a batch is retried already, by {retry_id}: retry that job.")


def row_spec(batch: Batch, row: Row) -> JobSpec:
    """Return the specification of a row's job, whose end is not announced: that of the batch is."""
    spec = batch.spec
    return replace(
        spec,
        input_object=row.object,
        user_data=spec.user_data if row.user_data is None else row.user_data,
        output=replace(spec.output, **dict(row.outputs)),
        callback=CallbackRequest(url="no"),
        batch=batch.id,
    )
