"""Protocol of a repository of batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from stemline.jobs.batch import Batch, Row
from stemline.jobs.callback import CallbackTarget
from stemline.jobs.job import JobSpec
from stemline.jobs.store.values import Listing
from stemline.jobs.tenant import Tenant
from stemline.jobs.usage import NO_BUDGET, Budget


class BatchRepository(Protocol):
    """Batches: their rows are kept until they are jobs, of which only some wait at a time."""

    def begin(
        self, batch_id: str, name: str, spec: JobSpec, target: CallbackTarget | None, upload: str
    ) -> str | None:
        """Begin to receive the rows of a batch; an earlier, unfinished upload is dropped.

        Args:
            batch_id: Its id.
            name: For people.
            spec: What its jobs have in common; its ``tenant`` is that of the batch.
            target: Where its end is announced.
            upload: Names this upload; a later one with another name takes its place.

        Returns:
            SHA-256 of its body if the batch is complete already, else ``None``.

        Raises:
            BatchesFull: The tenant has too many batches with rows that are not jobs yet.
        """
        ...

    def append(self, batch_id: str, upload: str, first: int, rows: Sequence[Row]) -> None:
        """Add rows; repeating the call of the same rows does nothing.

        Args:
            batch_id: The batch.
            upload: The upload.
            first: How many rows there are before these.
            rows: The rows.

        Raises:
            UploadSuperseded: Another upload has begun.
            BatchesFull: The tenant's batches would hold more rows or bytes than they may.
            RequestRefused: The batch alone would.
        """
        ...

    def drop(self, batch_id: str, upload: str) -> None:
        """Forget what an upload has sent, unless the batch was accepted or another upload has begun."""
        ...

    def seal(
        self,
        batch_id: str,
        upload: str,
        body_sha256: str,
        *,
        credential: str = "",
        budget: Budget = NO_BUDGET,
    ) -> None:
        """Accept the batch: its rows become jobs from now on, and count as jobs of today.

        Rows that are cancelled before they are jobs are taken from the count again.

        Args:
            batch_id: The batch.
            upload: The upload.
            body_sha256: SHA-256 of what was sent, hexadecimal.
            credential: SecretId of the submitter.
            budget: What it may take on one day.

        Raises:
            UploadSuperseded: Another upload has begun.
            BudgetSpent: The budget has no room for all rows.
        """
        ...

    def get(self, tenant: Tenant, batch_id: str) -> Batch | None:
        """Return a tenant's batch that was accepted."""
        ...

    def find(self, batch_id: str) -> Batch | None:
        """Return a batch of any tenant."""
        ...

    def search(self, tenant: Tenant, *, page: int = 1, size: int = 10) -> Listing[Batch]:
        """Return a tenant's batches, the latest first."""
        ...

    def pause(self, tenant: Tenant, batch_id: str) -> None:
        """Let no further job of a batch start.

        Raises:
            NoSuchBatch: The tenant has no such batch.
            IllegalTransition: It is over.
        """
        ...

    def resume(self, tenant: Tenant, batch_id: str) -> None:
        """Let a paused batch go on; its jobs have their old places.

        Raises:
            NoSuchBatch: The tenant has no such batch.
            IllegalTransition: It is over.
        """
        ...

    def cancel(self, tenant: Tenant, batch_id: str) -> None:
        """Cancel the rows that are not jobs yet; the jobs are cancelled as others are.

        Raises:
            NoSuchBatch: The tenant has no such batch.
            IllegalTransition: It is over.
        """
        ...

    def with_pending_rows(self, limit: int = 20) -> list[str]:
        """Return ids of batches with rows that are not jobs yet, the oldest first."""
        ...

    def take(self, batch_id: str, *, most: int, max_waiting: int) -> tuple[int, list[Row]]:
        """Return the next rows that may become jobs, and the number of the first.

        Args:
            batch_id: The batch.
            most: Rows to return.
            max_waiting: Waiting jobs that the batch may have with these.
        """
        ...

    def fed(self, batch_id: str, first: int, count: int) -> None:
        """Record that rows are jobs now; repeating the call does nothing."""
        ...
