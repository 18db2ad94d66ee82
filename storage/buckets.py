"""The buckets of the service: what a worker, the sweeper and the console do with them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog
from botocore.exceptions import BotoCoreError, ClientError

from stemline.jobs.errors import (
    SourceAccessDenied,
    SourceDownloadFailed,
    SourceNotFound,
    SourceUnavailable,
    TargetDenied,
    TargetUnavailable,
)
from stemline.jobs.tenant import Tenant
from stemline.runtime.settings import Settings
from stemline.storage import publish
from stemline.storage.clients import Clients, NotConfigured, Place
from stemline.storage.publish import Upload
from stemline.storage.reading import Download, ObjectChanged, ObjectHead, head
from stemline.storage.retry import Exhausted, Patience, absent, code_of, denied, persist

log = structlog.get_logger(__name__)

Asked = Callable[[], bool]
"""Whether the transfer is no longer wanted."""

SHORT_S = 10.0
"""Lifetime of a request to delete that no lease bounds."""


class Buckets:
    """Every bucket the settings tell how to reach; safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self._clients = Clients(settings)
        self._patience_s = settings.storage.retry_budget_s

    # -- sources

    def download(
        self,
        tenant: Tenant,
        key: str,
        path: Path,
        *,
        max_bytes: int,
        progress: Callable[[int, int], None] | None = None,
        cancelled: Asked | None = None,
    ) -> int:
        """Fetch a source object into a file; its size in bytes.

        A broken connection is taken up where it broke, as long as the object is the same.

        Args:
            tenant: Bucket and region of the source.
            key: Its key.
            path: The file to write; nothing stays there after a failure.
            max_bytes: A larger object is refused before a byte is fetched.
            progress: Told the bytes so far and the bytes in all.
            cancelled: Asked between chunks and while waiting.

        Raises:
            SourceNotFound, SourceAccessDenied, SourceTooLarge, SourceDownloadFailed: final.
            SourceUnavailable: the store was away for too long.
            Cancelled: it is no longer wanted.
        """
        patience = Patience(self._patience_s, cancelled)
        try:
            with _reading():
                place = self._clients.place(tenant.region, tenant.bucket)
                fetch = Download(place, key, max_bytes=max_bytes, patience=patience, progress=progress)
                return fetch.run(path)
        except BaseException:
            with suppress(OSError):
                path.unlink(missing_ok=True)
            raise

    def head(self, region: str, bucket: str, key: str) -> ObjectHead | None:
        """What the store says about an object; ``None`` where there is none.

        Raises:
            SourceAccessDenied, SourceDownloadFailed, SourceUnavailable: it says nothing of use.
        """
        with _reading():
            place = self._clients.place(region, bucket)
            try:
                return persist(lambda: head(place, key), Patience(self._patience_s), key=key)
            except ClientError as error:
                if absent(error):
                    return None
                raise

    def presign_get(self, region: str, bucket: str, key: str, *, expires_s: int = 900) -> str:
        """A URL that reads one object without further credentials, for ``expires_s`` seconds.

        Raises:
            SourceAccessDenied: the bucket is not configured, or has no credentials.
        """
        with _reading():
            place = self._clients.place(region, bucket)
            url: str = place.client.generate_presigned_url(
                "get_object", Params={"Bucket": place.bucket, "Key": key}, ExpiresIn=expires_s
            )
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
        cancelled: Asked | None = None,
    ) -> Upload:
        """Send a stem to its final key, where nobody sees it until ``complete``.

        Args:
            region: Of the destination.
            bucket: The destination.
            key: Final key.
            path: The encoded stem.
            job_id: The job that writes it.
            token: The fencing token of the attempt that writes it.
            content_type: Of the object.
            opened: Told the upload before a byte is sent: the place to register it, so that no death
                leaves sent bytes that nobody knows of. What it raises aborts the upload and goes on.
            cancelled: Asked between parts and while waiting.

        Raises:
            TargetDenied: final.
            TargetUnavailable: the store was away for too long.
            Cancelled: it is no longer wanted.
        """
        patience = Patience(self._patience_s, cancelled)
        empty = Upload(region, bucket, key, "", job_id, token, path.stat().st_size, "")
        with _writing():
            place = self._clients.place(region, bucket)
            upload = publish.begin(place, empty, content_type, patience)
            try:
                if opened is not None:
                    opened(upload)
                return publish.send(place, upload, path, patience)
            except BaseException:
                self._forget(place, upload)
                raise

    def _forget(self, place: Place, upload: Upload) -> None:
        """Abort as well as can be; the attempt that follows aborts what is registered anyway."""
        try:
            publish.abort(place, upload, Patience(0.0))
        except (ClientError, BotoCoreError, Exhausted) as error:
            log.warning("storage.abort_failed", key=upload.key, fault=code_of(error))

    def complete(self, upload: Upload, *, until: Callable[[], float], cancelled: Asked | None = None) -> None:
        """Make a staged stem visible, unless the lease is over. Repeating it does no harm.

        Args:
            upload: What ``stage`` gave.
            until: When the lease ends, seconds since the epoch; asked before each try. To be sure, add the
                lease's length to the clock as read before the last heartbeat that succeeded was sent.
            cancelled: Asked between tries.

        Raises:
            LeaseLost: the lease is over, or whoever holds the job now aborted the upload.
            TargetDenied: final.
            TargetUnavailable: the store was away for too long.
            Cancelled: it is no longer wanted.
        """
        with _writing():
            place = self._clients.place(upload.region, upload.bucket)
            publish.complete(place, upload, until=until, patience=Patience(self._patience_s, cancelled))

    def abort(self, upload: Upload) -> None:
        """Throw a staged stem away. Nothing happens where it was completed or aborted before.

        Raises:
            TargetDenied, TargetUnavailable: it may still be there.
        """
        with _writing():
            place = self._clients.place(upload.region, upload.bucket)
            publish.abort(place, upload, Patience(self._patience_s))

    def remove_own(
        self,
        region: str,
        bucket: str,
        key: str,
        *,
        job_id: str,
        token: int,
        until: Callable[[], float] | None = None,
    ) -> bool:
        """Delete an object if this attempt of the job, or an earlier one, wrote it; whether it did.

        Args:
            region: Of the bucket.
            bucket: Where.
            key: What.
            job_id: The job whose object it must be.
            token: The latest fencing token whose object it may be.
            until: When the lease ends; without one the job must be over, so that nobody writes any more.

        Raises:
            LeaseLost: the lease is over.
            TargetDenied, TargetUnavailable: it may still be there.
        """
        lease = until or (lambda: time.time() + SHORT_S)
        with _writing():
            place = self._clients.place(region, bucket)
            patience = Patience(self._patience_s)
            return publish.remove_own(place, key, job_id, token, until=lease, patience=patience)


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except NotConfigured:
        raise SourceAccessDenied("The bucket of the input object is not configured.") from None
    except ObjectChanged as error:
        raise SourceDownloadFailed(error.message) from error
    except Exhausted as error:
        raise SourceUnavailable(_because(SourceUnavailable, error.reason)) from error
    except (ClientError, BotoCoreError) as error:
        kind: type[SourceNotFound | SourceAccessDenied | SourceDownloadFailed]
        kind = SourceNotFound if absent(error) else SourceDownloadFailed
        kind = SourceAccessDenied if denied(error) else kind
        log.warning("storage.source_refused", fault=code_of(error), said=str(error))
        raise kind(_because(kind, code_of(error))) from error


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except NotConfigured:
        raise TargetDenied("The destination bucket is not configured.") from None
    except Exhausted as error:
        raise TargetUnavailable(_because(TargetUnavailable, error.reason)) from error
    except (ClientError, BotoCoreError) as error:
        log.warning("storage.target_refused", fault=code_of(error), said=str(error))
        raise TargetDenied(_because(TargetDenied, code_of(error))) from error


def _because(kind: type[Exception], reason: str) -> str:
    return f"{' '.join((kind.__doc__ or '').split())} ({reason})"
