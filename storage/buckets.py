"""The buckets of the service: download sources, stage and publish stems, delete what an attempt left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import structlog
from botocore.exceptions import BotoCoreError, ClientError

from stemline.jobs.errors import TargetNotWritten, TargetUnavailable
from stemline.jobs.tenant import Tenant
from stemline.runtime.credentials import CredentialFile, CredentialFiles
from stemline.runtime.settings import BucketAccess, Settings
from stemline.storage import publish
from stemline.storage.access_check import check_access
from stemline.storage.clients import BucketClient, BucketNotConfigured, Clients
from stemline.storage.download import Download
from stemline.storage.incoming import IncomingUploads
from stemline.storage.job_errors import source_errors, target_errors
from stemline.storage.objects import ObjectHead, head_object
from stemline.storage.publish import Upload
from stemline.storage.reading import PieceReader
from stemline.storage.retry import BudgetExhausted, CancelCheck, RetryBudget, TransferCancelled
from stemline.storage.s3_errors import (
    error_code,
    is_missing,
)

log = structlog.get_logger(__name__)

COPY_BUDGET_S = 10.0
"""How long a copy is tried again, s; then the job is separated."""
DELETE_EXPIRY_S = 10.0
"""Lifetime of a delete request that no lease bounds, s."""


class Buckets:
    """All configured buckets; safe to share between threads."""

    def __init__(self, settings: Settings, access: CredentialFile[BucketAccess] | None = None) -> None:
        """Prepare the clients.

        Args:
            settings: How long requests are retried.
            access: How each bucket is reached; by default what the settings name.
        """
        self._access = access or CredentialFiles.of(settings).buckets
        self._region = settings.hosts.region
        self._clients = Clients(self._access, settings.hosts.allowed_regions)
        self._retry_budget_s = settings.storage.retry_budget_s

    @property
    def incoming(self) -> IncomingUploads:
        """Uploads of sources by clients."""
        return IncomingUploads(self._clients)

    def keeps_files(self, region: str, bucket: str) -> bool:
        """Return whether a bucket's store keeps objects as files in folders."""
        return self._clients.keeps_files(region, bucket)

    def endpoint_urls(self) -> frozenset[str | None]:
        """Return the endpoints of all configured buckets, with ``{region}`` as it is; None for AWS's own."""
        return self._clients.endpoint_urls()

    def check_access(self, *, most_skew_s: float) -> None:
        """Find out whether this machine can use the buckets; stores that do not answer are only logged.

        Args:
            most_skew_s: By how much the machine's clock may differ from a store's, s.

        Raises:
            BucketsUnusable: Keys, profile, authorities or clock are wrong.
        """
        check_access(self._clients, self._access.entries(), self._region, most_skew_s=most_skew_s)

    # -- sources

    def download(
        self,
        tenant: Tenant,
        key: str,
        path: Path,
        *,
        max_bytes: int,
        progress: Callable[[int, int], None] | None = None,
        cancelled: CancelCheck | None = None,
    ) -> int:
        """Download a source into a file and return its size in bytes.

        A broken download is resumed, unless the object was replaced; then it starts again.

        Args:
            tenant: Bucket and region of the source.
            key: Key of the source.
            path: The file to write; it is removed after a failure.
            max_bytes: A larger object is refused before a byte is fetched.
            progress: Called with the bytes received and the bytes in total.
            cancelled: Called between chunks and during waits.

        Raises:
            SourceNotFound, SourceAccessDenied, SourceTooLarge, SourceDownloadFailed: Final errors.
            SourceUnavailable: The store was unavailable for too long.
            TransferCancelled: The transfer was cancelled.
        """
        try:
            with source_errors():
                bucket = self._clients.for_bucket(tenant.region, tenant.bucket)
            with source_errors(bucket):
                budget = RetryBudget(self._retry_budget_s, cancelled)
                return Download(bucket, key, max_bytes=max_bytes, budget=budget, progress=progress).run(path)
        except BaseException:
            with suppress(OSError):
                path.unlink(missing_ok=True)
            raise

    def pieces(self, tenant: Tenant, key: str, *, max_bytes: int, within_s: float) -> Iterator[bytes]:
        """Yield an object in pieces of some hundred kB; what is done with them meanwhile does not count.

        Args:
            tenant: Bucket and region of the object.
            key: Its key.
            max_bytes: A larger object is refused.
            within_s: How long the requests may take together, s.

        Raises:
            SourceNotFound, SourceAccessDenied, SourceTooLarge, SourceDownloadFailed: Final errors.
            SourceUnavailable: The store was unavailable for too long.
            TransferCancelled: The requests took longer.
        """
        with source_errors():
            bucket = self._clients.for_bucket(tenant.region, tenant.bucket)
        reader = PieceReader(
            bucket, key, max_bytes=max_bytes, within_s=within_s, patience_s=self._retry_budget_s
        )
        while not reader.is_complete:
            with source_errors(bucket):
                piece = reader.next_piece()
            yield piece

    def head(
        self, region: str, bucket: str, key: str, *, cancelled: CancelCheck | None = None
    ) -> ObjectHead | None:
        """Return the metadata of an object, or ``None`` if it does not exist.

        Raises:
            SourceAccessDenied, SourceDownloadFailed, SourceUnavailable: The store gave no usable response.
            TransferCancelled: It was cancelled.
        """
        with source_errors():
            client = self._clients.for_bucket(region, bucket)
            try:
                budget = RetryBudget(self._retry_budget_s, cancelled)
                return budget.run(lambda: head_object(client, key), key=key)
            except ClientError as error:
                if is_missing(error):
                    return None
                raise

    def presign_get(
        self, region: str, bucket: str, key: str, *, expires_s: int = 900, download: str = ""
    ) -> str:
        """Return a URL that reads one object without further credentials for ``expires_s`` seconds.

        Args:
            region: Region of the bucket.
            bucket: The bucket.
            key: Key of the object.
            expires_s: Validity, s.
            download: A file name under which browsers save the object instead of showing it.

        Raises:
            SourceAccessDenied: The bucket is not configured, or has no credentials.
        """
        with source_errors():
            client = self._clients.for_bucket(region, bucket)
            parameters = {"Bucket": client.name, "Key": key}
            if download:
                quoted = quote(download, safe="")
                parameters["ResponseContentDisposition"] = f"attachment; filename*=UTF-8''{quoted}"
            url: str = client.s3.generate_presigned_url("get_object", Params=parameters, ExpiresIn=expires_s)
            return url

    # -- stems

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
            with target_errors():
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
        with target_errors(client):
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
        with target_errors(client):
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
            md5: Of its bytes.

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
        with target_errors(client):
            budget = RetryBudget(min(self._retry_budget_s, COPY_BUDGET_S))
            return publish.copy(client, filled, origin.name, key, etag=source.etag, budget=budget)

    def _target(self, region: str, bucket: str) -> BucketClient:
        with target_errors():
            return self._clients.for_bucket(region, bucket)

    def _try_abort(self, client: BucketClient, upload: Upload) -> None:
        """Abort once, without retries; a later cleanup aborts registered uploads anyway."""
        try:
            publish.abort(client, upload, RetryBudget(0.0))
        except (ClientError, BotoCoreError, BudgetExhausted) as error:
            log.warning("storage.abort_failed", key=upload.key, error=error_code(error))

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
        with target_errors(client):
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
        with target_errors(), self._bounded(budget_s) as budget:
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
        with target_errors(), self._bounded(budget_s) as budget:
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
