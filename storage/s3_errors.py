"""What the errors of boto3 and of the connection mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    ResponseStreamingError,
)
from botocore.exceptions import (
    ConnectionError as BotoConnectionError,
)

from stemline.jobs.reasons import reason_of


class UnusableResponse(BotoCoreError):  # type: ignore[misc]  # botocore ships no types
    """A successful response lacks what every store sends, as when a proxy answers in the store's place."""

    fmt = "The response to {operation} has no {field}"


CONNECTION_ERRORS = (
    BotoConnectionError,
    HTTPClientError,
    IncompleteReadError,
    ResponseStreamingError,
    ConnectionError,
    TimeoutError,
)
"""Errors of the connection."""

REQUEST_ERRORS = (ClientError, BotoCoreError, *CONNECTION_ERRORS)
"""Every error that a request to a store can raise."""

_CODE = re.compile(r"[A-Za-z0-9._-]{1,64}")
_FIELD = re.compile(r"[!-~]{1,1024}")


def error_code(error: BaseException) -> str:
    """Return the S3 error code, or the exception's name where there is none, for logs."""
    if isinstance(error, ClientError):
        return code_of_store(error) or str(status_of(error))
    return type(error).__name__


def spoken_code(error: BaseException) -> str:
    """Return the S3 error code, or why there is none, for messages."""
    return error_code(error) if isinstance(error, ClientError) else reason_of(error)


def code_of_store(error: ClientError) -> str:
    """Return the code that an answer names; empty if it names none."""
    code = str(error.response.get("Error", {}).get("Code") or "")
    # It ends in messages and logs, and a tenant may run the store that sends it.
    return code if _CODE.fullmatch(code) else ""


def status_of(error: BaseException) -> int:
    """Return the HTTP status of a response; 0 if there was no response."""
    if isinstance(error, ClientError):
        return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    return 0


def field_of(response: Mapping[str, Any], field: str, operation: str) -> str:
    """Return a field of a response.

    Raises:
        UnusableResponse: It is missing, or not printable ASCII of at most 1,024 characters.
    """
    value = response.get(field)
    if not _FIELD.fullmatch(str(value or "")):
        raise UnusableResponse(operation=operation, field=field)
    return str(value)


def is_missing(error: BaseException) -> bool:
    """Return whether the object, the bucket or the upload does not exist."""
    return status_of(error) == 404
