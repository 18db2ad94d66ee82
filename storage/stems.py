"""Stems of jobs: upload, make visible, delete what an attempt left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import structlog
from botocore.exceptions import BotoCoreError, ClientError

from stemline.jobs.errors import TargetNotWritten, TargetUnavailable
from stemline.storage import publish
from stemline.storage.clients import BucketClient, BucketNotConfigured, Clients
from stemline.storage.job_errors import target_errors
from stemline.storage.objects import ObjectHead
from stemline.storage.publish import Upload
from stemline.storage.retry import BudgetExhausted, CancelCheck, RetryBudget, TransferCancelled
from stemline.storage.s3_errors import error_code

log = structlog.get_logger(__name__)

COPY_BUDGET_S = 10.0
"""How long a copy is tried again, s; then the job is separated."""
DELETE_EXPIRY_S = 10.0
"""Lifetime of a delete request that no lease bounds, s."""


class StemUploads:
    """Uploads of stems to all configured buckets; safe to share between threads."""

    def __init__(self, clients: Clients, retry_budget_s: float) -> None:
        """Request nothing yet.

        Args:
            clients: Clients of the buckets.
            retry_budget_s: How long a request is tried again, s.
        """
        self._clients = clients
        self._retry_budget_s = retry_budget_s

    def stage(
        self,
        region: str,
        bucket: str,
        key: str,
        path: Path,
        *,
        job_id: str,
        token: int,
        content_type: str,
        opened: Callable[[Upload], None] | None = None,
        cancelled: CancelCheck | None = None,
    ) -> Upload:
        """Upload a stem to its final key; it stays invisible until ``complete``.

        Args:
            region: Region of the destination.
            bucket: The destination.
            key: Final key.
            path: The encoded stem.
            job_id: The job that writes it.
            token: The fencing token of the attempt that writes it.
            content_type: Content type of the object.
            opened: Called with the upload before a byte is sent, to register it: then a later cleanup finds
                it whenever this process dies. If it raises, the upload is aborted.
            cancelled: Called between parts and during waits.

        Raises:
            TargetDenied: A final error.
            TargetUnavailable: The store was unavailable for too long.
            TransferCancelled: The transfer was cancelled.
        """
        upload = self.open(
            region,
            bucket,
            key,
            job_id=job_id,
            token=token,
            content_type=content_type,
            opened=opened,
            cancelled=cancelled,
        )
        try:
            return self.send(upload, path, cancelled=cancelled)
        except BaseException:
            with target_errors(bucket):
                self._try_abort(self._clients.for_bucket(region, bucket), upload)
            raise

    def open(
        self,
        region: str,
        bucket: str,
        key: str,
        *,
        job_id: str,
        token: int,
        content_type: str,
        opened: Callable[[Upload], None] | None = None,
        cancelled: CancelCheck | None = None,
    ) -> Upload:
        """Open the upload of a stem, before there is a stem: a refusal then costs no separation.

        Args and errors are those of ``stage``.
        """
        empty = Upload(region, bucket, key, "", job_id, token, 0, "")
        client = self._target(region, bucket)
        with target_errors(client.name, client):
            upload = publish.begin(client, empty, content_type, RetryBudget(self._retry_budget_s, cancelled))
            try:
                if opened is not None:
                    opened(upload)
            except BaseException:
                self._try_abort(client, upload)
                raise
        return upload

    def send(self, upload: Upload, path: Path, *, cancelled: CancelCheck | None = None) -> Upload:
        """Send a stem to its open upload; it stays invisible until ``complete``.

        Raises:
            TargetDenied: A final error.
            TargetUnavailable: The store was unavailable for too long.
            TransferCancelled: The transfer was cancelled.
        """
        client = self._target(upload.region, upload.bucket)
        with target_errors(client.name, client):
            budget = RetryBudget(self._retry_budget_s, cancelled)
            return publish.send(client, replace(upload, size=path.stat().st_size), path, budget)

    def copy(
        self, upload: Upload, region: str, bucket: str, key: str, *, source: ObjectHead, md5: str
    ) -> Upload | None:
        """Fill an open upload with a stored object, within the store; it stays invisible until ``complete``.

        Args:
            upload: The open upload.
            region: Region of the object's bucket.
            bucket: Its bucket.
            key: Its key.
            source: Its metadata; another object under the key is not copied.
            md5: MD5 of its bytes.

        Returns:
            The upload; ``None`` if the store cannot copy the object, or does not hold it any more.
        """
        try:
            origin = self._clients.for_bucket(region, bucket)
        except BucketNotConfigured:
            return None
        client = self._target(upload.region, upload.bucket)
        if origin.s3 is not client.s3 or source.size is None:
            return None
        filled = replace(upload, size=source.size, md5=md5)
        with target_errors(client.name, client):
            budget = RetryBudget(min(self._retry_budget_s, COPY_BUDGET_S))
            return publish.copy(client, filled, origin.name, key, etag=source.etag, budget=budget)

    def _target(self, region: str, bucket: str) -> BucketClient:
        with target_errors(bucket):
            return self._clients.for_bucket(region, bucket)

    def _try_abort(self, client: BucketClient, upload: Upload) -> None:
        """Abort once, without retries; a later cleanup aborts registered uploads anyway."""
        try:
            publish.abort(client, upload, RetryBudget(0.0))
        except (ClientError, BotoCoreError, BudgetExhausted) as error:
            log.warning("storage.abort_failed", bucket=client.name, key=upload.key, error=error_code(error))

    def complete(
        self, upload: Upload, *, expires_at: Callable[[], float], cancelled: CancelCheck | None = None
    ) -> None:
        """Make a staged stem visible, unless the lease has expired. Safe to repeat.

        Args:
            upload: The upload that ``stage`` returned.
            expires_at: Returns when the lease expires, seconds since the epoch; called before each try. It
                must count from the time before the last successful heartbeat was sent.
            cancelled: Called between tries.

        Raises:
            LeaseLost: The lease has expired, or another attempt aborted the upload.
            TargetDenied: A final error.
            TargetNotWritten: The store does not hold the stem afterwards.
            TargetUnavailable: The store was unavailable for too long.
            TransferCancelled: The transfer was cancelled.
        """
        budget = RetryBudget(self._retry_budget_s, cancelled)
        client = self._target(upload.region, upload.bucket)
        with target_errors(client.name, client):
            publish.complete(client, upload, expires_at=expires_at, budget=budget)
            size = publish.stored_size(client, upload, budget)
        if size != upload.size:
            held = "no object" if size is None else f"{size} bytes"
            raise TargetNotWritten(
                f"The destination holds {held} under {upload.key}, instead of {upload.size} bytes."
            )

    def abort(self, upload: Upload, *, budget_s: float | None = None) -> None:
        """Abort a staged stem; does nothing if it was completed or aborted before.

        Args:
            upload: The upload.
            budget_s: How long this may take, s; by default as the settings say, for retries alone.

        Raises:
            TargetDenied, TargetUnavailable: The upload may still exist.
        """
        with target_errors(upload.bucket), self._bounded(budget_s) as budget:
            client = self._clients.for_bucket(upload.region, upload.bucket)
            publish.abort(client, upload, budget)

    def delete_own(
        self,
        region: str,
        bucket: str,
        key: str,
        *,
        job_id: str,
        token: int,
        expires_at: Callable[[], float] | None = None,
        budget_s: float | None = None,
    ) -> bool:
        """Delete an object if this attempt of the job, or an earlier one, wrote it; return whether it did.

        Args:
            region: Region of the bucket.
            bucket: The bucket.
            key: Key of the object.
            job_id: The job that must have written it.
            token: The latest fencing token it may have been written under.
            expires_at: Returns when the lease expires; ``None`` only if no attempt of the job is running.
            budget_s: How long this may take, s; by default as the settings say, for retries alone.

        Raises:
            LeaseLost: The lease has expired.
            TargetDenied, TargetUnavailable: The object may still exist.
        """
        expiry = expires_at or (lambda: time.time() + DELETE_EXPIRY_S)
        with target_errors(bucket), self._bounded(budget_s) as budget:
            client = self._clients.for_bucket(region, bucket)
            return publish.delete_own(client, key, job_id, token, expires_at=expiry, budget=budget)

    @contextmanager
    def _bounded(self, budget_s: float | None) -> Iterator[RetryBudget]:
        """Yield a budget; with a time, also a request that is under way then is given up.

        Raises:
            TargetUnavailable: The time is over.
        """
        if budget_s is None:
            yield RetryBudget(self._retry_budget_s)
            return
        end = time.monotonic() + budget_s
        try:
            yield RetryBudget(budget_s, lambda: time.monotonic() > end)
        except TransferCancelled:
            raise TargetUnavailable from None
