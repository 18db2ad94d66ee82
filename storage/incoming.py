"""Uploads of sources by clients: the service opens and completes them, the client sends the parts itself.

The client gets presigned URLs and no keys of the bucket. Which parts have arrived is asked of the store, so
nothing about an upload is kept here, and it can be resumed from anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import structlog
from botocore.exceptions import BotoCoreError, ClientError

from stemline.jobs.errors import Forbidden, NoSuchResource, RequestRefused, TryAgain
from stemline.jobs.text import shorten
from stemline.storage.clients import BucketClient, BucketNotConfigured, Clients
from stemline.storage.faults import REMEDIES, fault_of
from stemline.storage.retry import BudgetExhausted, RetryBudget
from stemline.storage.s3_errors import error_code, field_of, is_missing, spoken_code

log = structlog.get_logger(__name__)

MIN_PART_BYTES = 8 << 20
MAX_PARTS = 1000
_MAX_PAGES = 10
"""Pages of a list of parts that are asked for; a store lists up to 1,000 on each."""
RETRY_S = 5.0
"""How long a request to the store is retried while a client waits for its answer, s."""
URL_S = 3600
"""Validity of the URL of a part, s."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class IncomingUpload:
    """A multipart upload of a source, invisible until it is completed."""

    region: str
    bucket: str
    key: str
    upload_id: str
    size: int
    """Bytes of the whole object, as the client announces them."""

    @property
    def part_bytes(self) -> int:
        """Size of every part but the last."""
        return max(MIN_PART_BYTES, math.ceil(self.size / MAX_PARTS))

    @property
    def part_count(self) -> int:
        """Number of parts."""
        return max(1, math.ceil(self.size / self.part_bytes))

    def bytes_of(self, number: int) -> int:
        """Return the size of a part; numbers count from 1."""
        return min(self.part_bytes, self.size - (number - 1) * self.part_bytes)


class IncomingUploads:
    """Multipart uploads of sources in all configured buckets."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    def begin(self, region: str, bucket: str, key: str, size: int, content_type: str) -> IncomingUpload:
        """Open an upload.

        Raises:
            Forbidden: The bucket is not configured, or refuses.
            TryAgain: The store does not answer.
        """
        client = self._bucket(region, bucket)

        def create() -> str:
            answer = client.s3.create_multipart_upload(
                Bucket=client.name, Key=key, ContentType=content_type or "application/octet-stream"
            )
            return field_of(answer, "UploadId", "CreateMultipartUpload")

        return IncomingUpload(region, bucket, key, _run(bucket, create), size)

    def received(self, upload: IncomingUpload) -> dict[int, str]:
        """Return the ETags of the complete parts that the store has, by their numbers.

        Raises:
            NoSuchResource: There is no such upload: it was completed, aborted, or never opened.
            Forbidden, TryAgain: As for :meth:`begin`.
        """
        client = self._bucket(upload.region, upload.bucket)
        parts: dict[int, str] = {}
        marker = 0
        for _ in range(_MAX_PAGES):
            listing = partial(client.s3.list_parts, **_names(client, upload), PartNumberMarker=marker)
            page: Mapping[str, Any] = _run(upload.bucket, listing)
            for part in page.get("Parts", ()):
                number, size = int(part.get("PartNumber", 0)), part.get("Size")
                if 0 < number <= upload.part_count and size == upload.bytes_of(number) and "ETag" in part:
                    parts[number] = str(part["ETag"])
            following = int(page.get("NextPartNumberMarker") or 0)
            if not page.get("IsTruncated") or following <= marker:
                break
            marker = following
        return parts

    def urls(self, upload: IncomingUpload, numbers: Sequence[int]) -> list[str]:
        """Return URLs that parts can be sent to with PUT, for an hour.

        Raises:
            Forbidden: The bucket is not configured, or has no credentials.
        """
        client = self._bucket(upload.region, upload.bucket)
        urls: list[str] = []
        for number in numbers:
            names = {**_names(client, upload), "PartNumber": number, "ContentLength": upload.bytes_of(number)}
            sign = partial(client.s3.generate_presigned_url, "upload_part", Params=names, ExpiresIn=URL_S)
            urls.append(_run(upload.bucket, sign))
        return urls

    def complete(self, upload: IncomingUpload) -> None:
        """Make the object visible.

        Raises:
            RequestRefused: Parts are missing.
            NoSuchResource, Forbidden, TryAgain: As for :meth:`received`.
        """
        parts = self.received(upload)
        missing = [number for number in range(1, upload.part_count + 1) if number not in parts]
        if missing:
            raise RequestRefused(
                f"The upload lacks {len(missing)} of {upload.part_count} parts, the first is {missing[0]}."
            )
        client = self._bucket(upload.region, upload.bucket)
        listed = [{"PartNumber": number, "ETag": parts[number]} for number in sorted(parts)]
        _run(
            upload.bucket,
            lambda: client.s3.complete_multipart_upload(
                **_names(client, upload), MultipartUpload={"Parts": listed}
            ),
        )

    def abort(self, upload: IncomingUpload) -> None:
        """Give an upload up; its parts are deleted.

        Raises:
            NoSuchResource, Forbidden, TryAgain: As for :meth:`received`.
        """
        client = self._bucket(upload.region, upload.bucket)
        _run(upload.bucket, lambda: client.s3.abort_multipart_upload(**_names(client, upload)))

    def _bucket(self, region: str, bucket: str) -> BucketClient:
        try:
            return self._clients.for_bucket(region, bucket)
        except BucketNotConfigured:
            raise Forbidden("The bucket is not configured in the service.") from None


def _names(client: BucketClient, upload: IncomingUpload) -> dict[str, Any]:
    return {"Bucket": client.name, "Key": upload.key, "UploadId": upload.upload_id}


def _run(bucket: str, request: Callable[[], T]) -> T:
    with _errors(bucket):
        return RetryBudget(RETRY_S).run(request, bucket=bucket)


@contextmanager
def _errors(bucket: str) -> Iterator[None]:
    """Raise what an error of the store means for the client that waits."""
    try:
        yield
    except BudgetExhausted as error:
        raise TryAgain(f"The bucket's store does not answer ({error.reason}).", retry_after_s=5) from error
    except (ClientError, BotoCoreError) as error:
        log.warning("storage.upload_refused", bucket=bucket, error=error_code(error), message=shorten(error))
        if fault_of(error) in REMEDIES:
            raise TryAgain(
                f"The service cannot use the bucket's store ({spoken_code(error)}).", retry_after_s=60
            ) from error
        if is_missing(error):
            raise NoSuchResource(
                "There is no such upload; it was completed, aborted or never opened."
            ) from error
        raise Forbidden(f"The bucket's store refused the upload ({spoken_code(error)}).") from error
