"""The metadata of stored objects."""

from __future__ import annotations

from dataclasses import dataclass

from stemline.storage.clients import BucketClient
from stemline.storage.s3_errors import UnusableResponse, field_of

_TOKEN_DIGITS = 20
_MAX_SIZE = 10**15
"""Beyond what any store takes, bytes."""


@dataclass(frozen=True, slots=True)
class ObjectHead:
    """The metadata of an object."""

    size: int | None
    """Bytes; ``None`` if the store does not say."""
    etag: str
    content_type: str
    job_id: str
    """The job that wrote it; empty for any other object."""
    token: int
    """The fencing token it was written under; 0 for any other object."""


def head_object(bucket: BucketClient, key: str) -> ObjectHead:
    """Return the metadata of an object.

    Raises:
        ClientError, BotoCoreError: The store refused, or did not respond.
    """
    response = bucket.s3.head_object(Bucket=bucket.name, Key=key)
    metadata = {name.lower(): value for name, value in response.get("Metadata", {}).items()}
    token = metadata.get("stemline-token", "")
    size = response.get("ContentLength")
    if size is not None and not 0 <= size < _MAX_SIZE:
        raise UnusableResponse(operation="HeadObject", field="valid Content-Length")
    return ObjectHead(
        size=size,
        etag=field_of(response, "ETag", "HeadObject"),
        content_type=response.get("ContentType", ""),
        job_id=metadata.get("stemline-job", ""),
        token=int(token) if token.isdecimal() and len(token) <= _TOKEN_DIGITS else 0,
    )
