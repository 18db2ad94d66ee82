"""Publish stems so that only the attempt that holds the lease can.

S3 has no compare-and-set over several keys, so a stem is first sent as a multipart upload at its final key,
where it is invisible. Completing it is one small request. The request is signed to expire no later than the
lease, so a worker that was stopped past its lease cannot send it. The next attempt, or the sweeper, first
aborts the uploads of the earlier attempt, so a request still in flight finds no upload. Objects carry the
job id and the fencing token as metadata, so that a job deletes only its own.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from botocore.exceptions import ClientError
from lxml import etree

from stemline.jobs.errors import LeaseLost
from stemline.jobs.text import shorten
from stemline.storage.clients import BucketClient
from stemline.storage.expiring_request import send_expiring
from stemline.storage.faults import Fault, fault_of
from stemline.storage.objects import head_object
from stemline.storage.retry import BudgetExhausted, RetryBudget
from stemline.storage.s3_errors import error_code, field_of, is_missing, status_of

log = structlog.get_logger(__name__)

PART_BYTES = 16 << 20
MAX_PARTS = 10_000
COPY_BYTES = 1 << 30
"""Bytes that the store copies with one request."""
MAX_REPLACED = 3
"""How often an object may be replaced while it is deleted."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A multipart upload of a stem; invisible until it is completed."""

    region: str
    bucket: str
    key: str
    upload_id: str
    job_id: str
    token: int
    size: int
    """Bytes."""
    md5: str
    """MD5 of the whole file, 32 lower-case hex digits; empty until all parts are sent."""
    parts: tuple[str, ...] = ()
    """ETag of each part, in order."""

    def to_json(self) -> dict[str, Any]:
        """Return the upload as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Upload:
        """Return the upload that ``to_json`` returned."""
        return cls(**{**value, "parts": tuple(value["parts"])})


def begin(bucket: BucketClient, upload: Upload, content_type: str, budget: RetryBudget) -> Upload:
    """Open the multipart upload; no data is sent yet."""
    metadata = {"stemline-job": upload.job_id, "stemline-token": str(upload.token)}

    def create() -> str:
        response = bucket.s3.create_multipart_upload(
            Bucket=bucket.name, Key=upload.key, ContentType=content_type, Metadata=metadata
        )
        return field_of(response, "UploadId", "CreateMultipartUpload")

    def undo(upload_id: str) -> None:
        abort(bucket, replace(upload, upload_id=upload_id), RetryBudget(0.0))

    return replace(upload, upload_id=budget.run(create, undo=undo, bucket=bucket.name, key=upload.key))


def send(bucket: BucketClient, upload: Upload, path: Path, budget: RetryBudget) -> Upload:
    """Send the file part by part; the store checks each part against its MD5.

    Raises:
        LeaseLost: Another attempt, or a rule of the store, removed the upload.
        BudgetExhausted, TransferCancelled, ClientError, BotoCoreError: As for ``complete``.
    """
    part_bytes = max(PART_BYTES, math.ceil(upload.size / MAX_PARTS))
    etags: list[str] = []
    md5 = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while (part := file.read(part_bytes)) or not etags:
            md5.update(part)
            etags.append(_send_part(bucket, upload, len(etags) + 1, part, budget))
    return replace(upload, md5=md5.hexdigest(), parts=tuple(etags))


def _send_part(bucket: BucketClient, upload: Upload, number: int, part: bytes, budget: RetryBudget) -> str:
    digest = base64.b64encode(hashlib.md5(part, usedforsecurity=False).digest()).decode()

    def send_once() -> str:
        response = bucket.s3.upload_part(
            Bucket=bucket.name,
            Key=upload.key,
            UploadId=upload.upload_id,
            PartNumber=number,
            Body=part,
            ContentMD5=digest,
        )
        return field_of(response, "ETag", "UploadPart")

    try:
        return budget.run(send_once, bucket=bucket.name, key=upload.key, part=number)
    except ClientError as error:
        if error_code(error) == "NoSuchUpload":
            raise LeaseLost from error
        raise


def copy(
    bucket: BucketClient, upload: Upload, origin: str, key: str, *, etag: str, budget: RetryBudget
) -> Upload | None:
    """Fill the upload with an object of the same store; None if it cannot be copied, or is another one."""
    etags: list[str] = []
    source = {"Bucket": origin, "Key": key}

    def copy_part(first: int) -> str:
        try:
            response = bucket.s3.upload_part_copy(
                Bucket=bucket.name,
                Key=upload.key,
                UploadId=upload.upload_id,
                PartNumber=len(etags) + 1,
                CopySource=source,
                CopySourceIfMatch=etag,
                CopySourceRange=f"bytes={first}-{min(first + COPY_BYTES, upload.size) - 1}",
            )
        except ClientError as error:
            if status_of(error) == 501:  # this store never copies: not an outage
                return ""
            raise
        return str(response.get("CopyPartResult", {}).get("ETag", ""))

    try:
        for first in range(0, upload.size, COPY_BYTES):
            etags.append(
                budget.run(partial(copy_part, first), bucket=bucket.name, key=upload.key, part=len(etags) + 1)
            )
    except (ClientError, BudgetExhausted) as error:
        log.info("storage.not_copied", bucket=origin, key=key, reason=shorten(error))
        return None
    return replace(upload, parts=tuple(etags)) if etags and all(etags) else None


def complete(
    bucket: BucketClient, upload: Upload, *, expires_at: Callable[[], float], budget: RetryBudget
) -> None:
    """Make the stem visible, unless the lease has expired.

    Args:
        bucket: The destination.
        upload: The upload that ``send`` returned.
        expires_at: Returns when the lease expires, seconds since the epoch; called before each try.
        budget: How long the request is retried.

    Raises:
        LeaseLost: The lease has expired, or another attempt aborted the upload.
        BudgetExhausted: The store was unavailable for too long.
        TransferCancelled: The transfer was cancelled.
        ClientError, BotoCoreError: The store refused.
    """
    names = {"Key": upload.key, "UploadId": upload.upload_id}
    headers, body = {"Content-Type": "application/xml"}, _list_of_parts(upload)

    def finish() -> None:
        send_expiring(
            bucket, "complete_multipart_upload", names, expires_at=expires_at(), headers=headers, body=body
        )

    try:
        budget.run(finish, bucket=bucket.name, key=upload.key)
    except ClientError as error:
        if not is_missing(error):
            raise
        # A store may forget a completed upload, so the retry after a lost response finds none.
        if not _is_published(bucket, upload, budget):
            raise LeaseLost from error


def _list_of_parts(upload: Upload) -> bytes:
    root = etree.Element("CompleteMultipartUpload", xmlns="http://s3.amazonaws.com/doc/2006-03-01/")
    for number, etag in enumerate(upload.parts, start=1):
        part = etree.SubElement(root, "Part")
        etree.SubElement(part, "PartNumber").text = str(number)
        etree.SubElement(part, "ETag").text = etag
    return bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8"))


def stored_size(bucket: BucketClient, upload: Upload, budget: RetryBudget) -> int | None:
    """Return how many bytes the store holds under a published stem's key; None if there is no object.

    The size of the upload is returned where the store does not say, where the credentials may not ask, and
    where another job has published under the same key since. What an earlier attempt of this job left there
    is no published stem.
    """
    try:
        found = budget.run(lambda: head_object(bucket, upload.key), bucket=bucket.name, key=upload.key)
    except ClientError as error:
        if is_missing(error):
            return None
        if fault_of(error) is Fault.DENIED:
            log.info("storage.size_not_checked", bucket=bucket.name, key=upload.key, error=error_code(error))
            return upload.size
        raise
    if found.job_id == upload.job_id and found.token < upload.token:
        return None
    is_own = found.job_id in {upload.job_id, ""}
    return found.size if is_own and found.size is not None else upload.size


def _is_published(bucket: BucketClient, upload: Upload, budget: RetryBudget) -> bool:
    try:
        found = budget.run(lambda: head_object(bucket, upload.key), bucket=bucket.name, key=upload.key)
    except ClientError as error:
        if is_missing(error):
            return False
        raise
    is_own = (found.job_id, found.token) == (upload.job_id, upload.token)
    return is_own and found.size in {upload.size, None}


def abort(bucket: BucketClient, upload: Upload, budget: RetryBudget) -> None:
    """Abort an upload; does nothing if it was completed or aborted before."""
    names = {"Key": upload.key, "UploadId": upload.upload_id}
    try:
        budget.run(
            lambda: bucket.s3.abort_multipart_upload(Bucket=bucket.name, **names),
            bucket=bucket.name,
            key=upload.key,
        )
    except ClientError as error:
        if not is_missing(error):
            raise


def delete_own(
    bucket: BucketClient,
    key: str,
    job_id: str,
    token: int,
    *,
    expires_at: Callable[[], float],
    budget: RetryBudget,
) -> bool:
    """Delete an object if this attempt of the job, or an earlier one, wrote it; return whether it did.

    The request expires with the lease and names the ETag that was read, so neither a worker that was stopped
    in between nor a new object of another job under the same key is affected.
    """

    def delete(replaced: int = 0) -> bool:
        try:
            found = head_object(bucket, key)
        except ClientError as error:
            if is_missing(error):
                return False
            raise
        if found.job_id != job_id or found.token > token:
            return False
        names = {"Key": key, "IfMatch": found.etag}
        headers = {"If-Match": found.etag}
        try:
            send_expiring(bucket, "delete_object", names, expires_at=expires_at(), headers=headers)
        except ClientError as error:
            if status_of(error) == 412 and replaced < MAX_REPLACED:  # since it was read
                return delete(replaced + 1)
            if status_of(error) != 501:
                raise
            # This store has no conditional delete.
            send_expiring(bucket, "delete_object", {"Key": key}, expires_at=expires_at())
        return True

    return budget.run(delete, bucket=bucket.name, key=key)
