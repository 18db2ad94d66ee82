"""Requests that no store accepts after a given moment."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError
from botocore.httpsession import URLLib3Session
from lxml import etree

from stemline.jobs.errors import LeaseLost
from stemline.storage.clients import CONNECT_TIMEOUT_S, READ_TIMEOUT_S, Place

_METHODS = {"complete_multipart_upload": "POST", "delete_object": "DELETE"}
_http = URLLib3Session(
    verify=os.environ.get("AWS_CA_BUNDLE") or True,
    timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S),
    max_pool_connections=32,
)


def request(
    place: Place,
    operation: str,
    parameters: Mapping[str, str],
    *,
    until: float,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> None:
    """Send one request that expires at ``until``, seconds since the epoch.

    Raises:
        LeaseLost: the time is over, by our clock or by the store's.
        ClientError: the store refused; also when it says so in a 200 answer, as Complete may.
        HTTPClientError: no answer.
    """
    url = sign(place, operation, parameters, until=until)
    prepared = AWSRequest(
        method=_METHODS[operation], url=url, headers=dict(headers or {}), data=body
    ).prepare()
    answer = _http.send(prepared)
    error = _refusal(operation, answer.status_code, answer.content)
    if error is None:
        return
    if answer.status_code == 403 and time.time() >= math.floor(until):
        raise LeaseLost from error
    raise error


def sign(place: Place, operation: str, parameters: Mapping[str, str], *, until: float) -> str:
    """A presigned URL that expires no later than ``until``.

    Raises:
        LeaseLost: less than a second is left.
    """
    while (seconds := math.floor(until - math.floor(time.time()))) >= 1:
        url: str = place.client.generate_presigned_url(
            operation,
            Params={"Bucket": place.bucket, **parameters},
            ExpiresIn=seconds,
            HttpMethod=_METHODS[operation],
        )
        # The clock may have moved on before the signer read it, by a tick or, where the process was
        # stopped in between, by much: what counts is the URL.
        if _expiry(url) <= until:
            return url
    raise LeaseLost


def _expiry(url: str) -> float:
    """When a presigned URL expires, seconds since the epoch."""
    query = parse_qs(urlsplit(url).query)
    signed = datetime.strptime(query["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return signed.timestamp() + int(query["X-Amz-Expires"][0])


def _refusal(operation: str, status: int, content: bytes) -> ClientError | None:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, recover=True)
    root = etree.fromstring(content, parser) if content.strip() else None
    said_error = root is not None and etree.QName(root).localname == "Error"
    if status < 300 and not said_error:
        return None
    code = (root.findtext("{*}Code") or "") if root is not None else ""
    message = (root.findtext("{*}Message") or "") if root is not None else ""
    if status < 300:
        status = 404 if code == "NoSuchUpload" else 500
    answer: Any = {
        "Error": {"Code": code or str(status), "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(answer, operation)
