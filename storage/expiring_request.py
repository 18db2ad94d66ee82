"""Presigned requests that a store refuses after a given moment."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError
from lxml import etree

from stemline.jobs.errors import LeaseLost
from stemline.runtime.compat.botocore import http_session
from stemline.runtime.http_date import seconds_of
from stemline.storage.clients import BucketClient

_METHODS = {"complete_multipart_upload": "POST", "delete_object": "DELETE"}
MAX_SKEW_S = 5.0
"""By how much our clock may differ from the store's before a denial counts as its fault, s."""
_RESULTS = {"complete_multipart_upload": "CompleteMultipartUploadResult"}
"""Root element of the response that alone means success: a 200 may be white space, or hold an error."""


def send_expiring(
    bucket: BucketClient,
    operation: str,
    parameters: Mapping[str, str],
    *,
    expires_at: float,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> None:
    """Send one request that expires at ``expires_at``, seconds since the epoch.

    It goes through the client's own connections, with its proxies and authorities.

    Args:
        bucket: The bucket.
        operation: ``complete_multipart_upload`` or ``delete_object``.
        parameters: Parameters of the operation, ``Key`` among them.
        expires_at: When the request expires.
        headers: Further headers.
        body: The request body.

    Raises:
        LeaseLost: The request has expired, by our clock or by the store's.
        ClientError: The store refused. CompleteMultipartUpload may do so in a 200 response; one without a
            result counts as a transient error. RequestTimeTooSkewed, whatever the store called it, if our
            clock is wrong.
        HTTPClientError: The store did not respond.
    """
    url = _sign(bucket, operation, parameters, expires_at)
    prepared = AWSRequest(
        method=_METHODS[operation], url=url, headers=dict(headers or {}), data=body
    ).prepare()
    response = http_session(bucket.s3).send(prepared)
    error = _error(operation, response.status_code, response.content)
    if error is None:
        return
    if response.status_code == 403 and time.time() >= math.floor(expires_at):
        raise LeaseLost from error
    if response.status_code == 403 and _skew_s(response.headers) > MAX_SKEW_S:
        # Signed with a wrong clock it has expired there, or is not valid yet: the store denies it.
        raise ClientError(_details("RequestTimeTooSkewed", "", 403), operation) from error
    raise error


def _skew_s(headers: Mapping[str, str]) -> float:
    """Return by how much our clock differs from the store's; 0 where it does not tell its time, s."""
    date_s = seconds_of(headers.get("Date", ""))
    return 0.0 if date_s is None else abs(date_s - time.time())


def _sign(bucket: BucketClient, operation: str, parameters: Mapping[str, str], expires_at: float) -> str:
    """Return a presigned URL that expires no later than ``expires_at``.

    Raises:
        LeaseLost: Less than a second is left.
    """
    while (seconds := math.floor(expires_at - math.floor(time.time()))) >= 1:
        url: str = bucket.s3.generate_presigned_url(
            operation,
            Params={"Bucket": bucket.name, **parameters},
            ExpiresIn=seconds,
            HttpMethod=_METHODS[operation],
        )
        # The signer reads the clock later than the line above; much later if the process was stopped in
        # between. So check the URL itself.
        if _expiry(url) <= expires_at:
            return url
    raise LeaseLost


def _expiry(url: str) -> float:
    """Return when a presigned URL expires, seconds since the epoch."""
    query = parse_qs(urlsplit(url).query)
    signed = datetime.strptime(query["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return signed.timestamp() + int(query["X-Amz-Expires"][0])


def _error(operation: str, status: int, content: bytes) -> ClientError | None:
    """Return the error in a response; ``None`` if it is a success."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, recover=True)
    root = etree.fromstring(content, parser) if content.strip() else None
    name = etree.QName(root).localname if root is not None else ""
    if status < 300 and name == _RESULTS.get(operation, ""):
        return None
    code = (root.findtext("{*}Code") or "") if root is not None else ""
    message = (root.findtext("{*}Message") or "") if root is not None else ""
    if status < 300:
        status = 404 if code == "NoSuchUpload" else 500
    code = code or ("IncompleteBody" if status == 500 else str(status))
    return ClientError(_details(code, message, status), operation)


def _details(code: str, message: str, status: int) -> Any:
    return {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
