"""The buckets of the service: reading objects, and access to the uploads of stems and sources."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from botocore.exceptions import ClientError

from stemline.jobs.tenant import Tenant
from stemline.runtime.credentials import CredentialFile, CredentialFiles
from stemline.runtime.settings import BucketAccess, Settings
from stemline.storage.access_check import check_access
from stemline.storage.clients import Clients
from stemline.storage.download import Download, Downloaded
from stemline.storage.incoming import IncomingUploads
from stemline.storage.job_errors import source_errors
from stemline.storage.objects import ObjectHead, head_object
from stemline.storage.reading import PieceReader
from stemline.storage.retry import CancelCheck, RetryBudget
from stemline.storage.s3_errors import is_missing
from stemline.storage.stems import StemUploads


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
    def stems(self) -> StemUploads:
        """Uploads of stems by workers."""
        return StemUploads(self._clients, self._retry_budget_s)

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

    def check_access(self, *, max_skew_s: float) -> None:
        """Find out whether this machine can use the buckets; stores that do not answer are only logged.

        Args:
            max_skew_s: By how much the machine's clock may differ from a store's, s.

        Raises:
            BucketsUnusable: Keys, profile, authorities or clock are wrong.
        """
        check_access(self._clients, self._access.entries(), self._region, max_skew_s=max_skew_s)

    def download(
        self,
        tenant: Tenant,
        key: str,
        path: Path,
        *,
        max_bytes: int,
        progress: Callable[[int, int], None] | None = None,
        cancelled: CancelCheck | None = None,
    ) -> Downloaded:
        """Download a source into a file.

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
            with source_errors(tenant.bucket):
                bucket = self._clients.for_bucket(tenant.region, tenant.bucket)
            with source_errors(bucket.name, bucket):
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
        with source_errors(tenant.bucket):
            bucket = self._clients.for_bucket(tenant.region, tenant.bucket)
        reader = PieceReader(
            bucket, key, max_bytes=max_bytes, within_s=within_s, retry_budget_s=self._retry_budget_s
        )
        while not reader.is_complete:
            with source_errors(bucket.name, bucket):
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
        with source_errors(bucket):
            client = self._clients.for_bucket(region, bucket)
            try:
                budget = RetryBudget(self._retry_budget_s, cancelled)
                return budget.run(lambda: head_object(client, key), bucket=bucket, key=key)
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
        with source_errors(bucket):
            client = self._clients.for_bucket(region, bucket)
            parameters = {"Bucket": client.name, "Key": key}
            if download:
                quoted = quote(download, safe="")
                parameters["ResponseContentDisposition"] = f"attachment; filename*=UTF-8''{quoted}"
            url: str = client.s3.generate_presigned_url("get_object", Params=parameters, ExpiresIn=expires_s)
            return url
