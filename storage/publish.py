"""Publishing a stem so that only the attempt that holds the lease can.

S3 has no compare-and-set over several keys, so a stem is first sent as a multipart upload at its final
key, where nobody sees it. Completing it is one small request. It is signed to expire no later than the
lease, so a worker that was stopped past its lease cannot send it; and whoever follows (the next attempt,
the sweeper) aborts the uploads of the earlier attempt first, so a request of it that is still under way
finds no upload. Objects carry the job and the fencing token as metadata, so that a job removes only its own.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from lxml import etree

from stemline.jobs.errors import LeaseLost
from stemline.storage.clients import Place
from stemline.storage.expiring_request import request
from stemline.storage.reading import head
from stemline.storage.retry import Patience, absent, persist, status_of

PART_BYTES = 16 << 20
MOST_PARTS = 10_000


@dataclass(frozen=True, slots=True)
class Upload:
    """A stem on its way: sent in full or in part, seen by nobody until completed."""

    region: str
    bucket: str
    key: str
    upload_id: str
    job_id: str
    token: int
    size: int
    """Bytes."""
    md5: str
    """Of the whole file, 32 lower-case hex digits; empty until all is sent."""
    parts: tuple[str, ...] = ()
    """ETag of each part, in order."""

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Upload:
        """From what ``to_json`` gave."""
        return cls(**{**value, "parts": tuple(value["parts"])})


def begin(place: Place, upload: Upload, content_type: str, patience: Patience) -> Upload:
    """Open the multipart upload; nothing is sent yet."""
    answer = persist(
        lambda: place.client.create_multipart_upload(
            Bucket=place.bucket,
            Key=upload.key,
            ContentType=content_type,
            Metadata={"stemline-job": upload.job_id, "stemline-token": str(upload.token)},
        ),
        patience,
        key=upload.key,
    )
    return replace(upload, upload_id=answer["UploadId"])


def send(place: Place, upload: Upload, path: Path, patience: Patience) -> Upload:
    """Send the file part by part; each part is checked by the store against its MD5."""
    part_bytes = max(PART_BYTES, math.ceil(upload.size / MOST_PARTS))
    etags: list[str] = []
    whole = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while (part := file.read(part_bytes)) or not etags:
            whole.update(part)
            etags.append(_send_part(place, upload, len(etags) + 1, part, patience))
            patience.renew()
    return replace(upload, md5=whole.hexdigest(), parts=tuple(etags))


def _send_part(place: Place, upload: Upload, number: int, part: bytes, patience: Patience) -> str:
    digest = base64.b64encode(hashlib.md5(part, usedforsecurity=False).digest()).decode()
    answer = persist(
        lambda: place.client.upload_part(
            Bucket=place.bucket,
            Key=upload.key,
            UploadId=upload.upload_id,
            PartNumber=number,
            Body=part,
            ContentMD5=digest,
        ),
        patience,
        key=upload.key,
        part=number,
    )
    return str(answer["ETag"])


def complete(place: Place, upload: Upload, *, until: Callable[[], float], patience: Patience) -> None:
    """Make the stem visible, unless the lease is over.

    Args:
        place: Where.
        upload: What ``send`` gave.
        until: When the lease ends as far as the worker knows, seconds since the epoch; asked before each try.
        patience: How long a store that does not answer is borne.

    Raises:
        LeaseLost: the lease is over, or whoever holds the job now aborted the upload.
        Exhausted: the store stayed away.
        Cancelled: the stem is no longer wanted.
        ClientError, BotoCoreError: the store refused.
    """
    root = etree.Element("CompleteMultipartUpload", xmlns="http://s3.amazonaws.com/doc/2006-03-01/")
    for number, etag in enumerate(upload.parts, start=1):
        part = etree.SubElement(root, "Part")
        etree.SubElement(part, "PartNumber").text = str(number)
        etree.SubElement(part, "ETag").text = etag
    body = etree.tostring(root, xml_declaration=True, encoding="UTF-8")
    names = {"Key": upload.key, "UploadId": upload.upload_id}

    def finish() -> None:
        headers = {"Content-Type": "application/xml"}
        request(place, "complete_multipart_upload", names, until=until(), headers=headers, body=body)

    try:
        persist(finish, patience, key=upload.key)
    except ClientError as error:
        if not absent(error):
            raise
        # A store may forget a completed upload: after a lost answer the second try finds none.
        if not _published(place, upload, patience):
            raise LeaseLost from error


def _published(place: Place, upload: Upload, patience: Patience) -> bool:
    try:
        found = persist(lambda: head(place, upload.key), patience, key=upload.key)
    except ClientError as error:
        if absent(error):
            return False
        raise
    return (found.job_id, found.token, found.size) == (upload.job_id, upload.token, upload.size)


def abort(place: Place, upload: Upload, patience: Patience) -> None:
    """Throw a staged stem away; nothing happens where it was completed or aborted before."""
    names = {"Key": upload.key, "UploadId": upload.upload_id}
    try:
        persist(
            lambda: place.client.abort_multipart_upload(Bucket=place.bucket, **names),
            patience,
            key=upload.key,
        )
    except ClientError as error:
        if not absent(error):
            raise


def remove_own(
    place: Place, key: str, job_id: str, token: int, *, until: Callable[[], float], patience: Patience
) -> bool:
    """Delete the object if this attempt of the job or an earlier one wrote it; whether it was deleted.

    The request expires with the lease and names the ETag that was looked at, so neither a worker that was
    stopped in between nor another job's new object under the same key comes to harm.
    """

    def remove() -> bool:
        try:
            found = head(place, key)
        except ClientError as error:
            if absent(error):
                return False
            raise
        if found.job_id != job_id or found.token > token:
            return False
        names = {"Key": key, "IfMatch": found.etag}
        headers = {"If-Match": found.etag}
        try:
            request(place, "delete_object", names, until=until(), headers=headers)
        except ClientError as error:
            if status_of(error) == 412:
                return remove()
            if status_of(error) != 501:
                raise
            # This store cannot delete under a condition.
            request(place, "delete_object", {"Key": key}, until=until())
        return True

    return persist(remove, patience, key=key)
