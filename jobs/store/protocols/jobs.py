"""Protocol of a repository of jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from stemline.jobs.history import Step
from stemline.jobs.job import Job, JobSpec, Waveform
from stemline.jobs.queue import QueueLimits
from stemline.jobs.serving import Demand
from stemline.jobs.states import State
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


class JobRepository(Protocol):
    """Jobs: submission and queries, and what is due at a time."""

    # Submission and queries

    def create(
        self,
        specs: Sequence[JobSpec],
        *,
        idempotency: Idempotency | None = None,
        new_queue: QueueLimits | None = None,
        budget: Budget = NO_BUDGET,
    ) -> list[Job]:
        """Store jobs of one tenant and one submitter, all or none, and notify workers.

        Args:
            specs: The jobs; an empty ``queue_id`` stands for the tenant's default queue.
            idempotency: With a key used before, return the jobs of the first request and store nothing.
            new_queue: Limits of the queue of a new tenant; by default those of the store's options.
            budget: What the submitter may take on one day.

        Raises:
            AsrBucketUnBinded: The service is not open for the bucket.
            BindedBucketNumLimit: It would be opened, but the region has as many buckets as it may.
            QueueNotFound: A job names an unknown queue.
            QueueFull: A queue would hold more waiting jobs than it may.
            BucketFull: The bucket's jobs that have not ended have reached their limit of memory.
            IdempotencyConflict: The key was used with another body.
            RowRetried: A job retries a row of a batch that another job retries already.
            BudgetSpent: The budget has no room for them.
        """
        ...

    def create_each(self, submissions: Sequence[Submission]) -> list[list[Job] | Exception]:
        """Store several submissions in one round trip.

        Returns:
            For each its jobs, or the error with which it was refused, as :meth:`create` returns or raises it.
        """
        ...

    def repeated(self, tenant: Tenant, idempotency: Idempotency) -> list[Job] | None:
        """Return the jobs of the first request with an idempotency key; ``None`` if there was none.

        Raises:
            IdempotencyConflict: The key was used with another body.
            NotConfirmed: They may not survive what an answered submission survives.
        """
        ...

    def create_many(
        self,
        specs: Sequence[JobSpec],
        ids: Sequence[str] = (),
        *,
        unretried: bool = False,
        budget: Budget = NO_BUDGET,
    ) -> int:
        """Store up to some hundred jobs of one tenant and one submitter, all or none, and notify workers.

        Args:
            specs: The jobs.
            ids: Their ids; a job whose id is stored already is left out, so the call may be repeated. By
                default new ones.
            unretried: Whether jobs are left out whose origin is retried already.
            budget: What the submitter may take on one day.

        Returns:
            How many of the jobs are stored, now or before.

        Raises:
            BudgetSpent: The budget has no room for them.
            RowRetried: A job retries a row of a batch that another job retries already.
            AsrBucketUnBinded: The service is not open for the bucket.
            BindedBucketNumLimit: It would be opened, but the region has as many buckets as it may.
            QueueNotFound: A job names an unknown queue.
            QueueFull: A queue would hold more waiting jobs than it may.
            BucketFull: The bucket's jobs that have not ended have reached their limit of memory.
        """
        ...

    def get(self, tenant: Tenant, ids: Sequence[str]) -> list[Job | None]:
        """Return a tenant's jobs in the given order, ``None`` for each id it does not have."""
        ...

    def find(self, job_id: str) -> Job | None:
        """Return a job of any tenant."""
        ...

    def waveforms(self, tenant: Tenant, job_id: str) -> tuple[Waveform, ...] | None:
        """Return the waveforms that a tenant's job keeps; ``None`` if the tenant has no such job."""
        ...

    def history(self, job_id: str) -> list[Step]:
        """Return the latest steps of a job of any tenant, the oldest first."""
        ...

    def search(self, tenant: Tenant, which: JobFilter) -> Page[Job]:
        """Return one page of a tenant's jobs by creation time.

        The cursor is the last creation time returned, so pages stay stable while new jobs arrive.
        """
        ...

    def count(self, tenant: Tenant, which: JobFilter) -> Counted:
        """Count a tenant's jobs that match, the oldest first; ``which.size`` jobs are looked at."""
        ...

    def cancel_where(self, tenant: Tenant, which: JobFilter) -> Counted:
        """Cancel a tenant's jobs that match and can be cancelled, the oldest first.

        Args:
            tenant: The owner.
            which: ``size`` jobs are looked at; the order is that of creation.

        Returns:
            How many were cancelled, or are to be.
        """
        ...

    def browse(self, tenant: Tenant, state: State | None, *, offset: int, size: int) -> Listing[Job]:
        """Return a tenant's jobs by their place, the newest first, and how many there are.

        Places shift while jobs arrive; :meth:`search` has a cursor that does not.

        Args:
            tenant: Whose jobs.
            state: ``None`` for all; ``Submitted`` contains the jobs that show ``Pause``.
            offset: How many of the newest jobs are skipped.
            size: How many are returned at most.
        """
        ...

    def cancel(self, tenant: Tenant, ids: Sequence[str]) -> None:
        """Cancel jobs, all or none.

        A waiting job becomes ``Cancel`` at once. A running job is flagged; its worker stops, removes its
        uploads and calls :meth:`confirm_cancel`. Cancelling a job that is ``Cancel`` already does nothing.

        Raises:
            RequestRefused: An id is unknown.
            IllegalTransition: A job has ended, or runs and ``cancel_running`` is off.
        """
        ...

    # The sweeper's work. Every method may run in several processes at once.

    def promote(self, limit: int = 1000) -> None:
        """Make jobs claimable whose delay has ended, or that may start now."""
        ...

    def expire(self, limit: int = 1000) -> int:
        """Cancel waiting jobs whose deadline has passed.

        Returns:
            How many deadlines were looked at; with fewer than ``limit``, none is left.
        """
        ...

    def startable(self, level: int, limit: int, wants: str = "") -> list[WakeUp]:
        """Return wake-ups for waiting jobs of a level that a free worker could start now.

        Args:
            level: Level of the jobs.
            limit: How many at most.
            wants: What the jobs want, of those apart from the common line; by default those in it.
        """
        ...

    def demands(self, limit: int = 100) -> list[Demand]:
        """Return what waiting jobs want that are not in the common line, the most wanted first."""
        ...

    def prune(self, limit: int = 500) -> int:
        """Delete ended jobs past their retention, and dead letters past theirs, and return how many.

        Args:
            limit: Limit of jobs, and of dead letters; with fewer than this in the answer, none is left.
        """
        ...
