"""What a store's failures mean, and how long they are borne.

A fault that may pass (no connection, silence, 429, 5xx) is tried again with growing waits until the
patience of the settings is spent; any other one is final at once.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

import structlog
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ResponseStreamingError,
)
from botocore.exceptions import (
    ConnectionError as BotoConnectionError,
)

from stemline.jobs.errors import StemlineError

log = structlog.get_logger(__name__)

FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 5.0

PASSING = (
    BotoConnectionError,
    HTTPClientError,
    IncompleteReadError,
    ResponseStreamingError,
    ConnectionError,
    TimeoutError,
)
"""Faults of the connection; all of them may pass."""

_PASSING_CODES = frozenset({"SlowDown", "RequestTimeout", "InternalError", "BadDigest", "OperationAborted"})
_DENIED_CODES = frozenset(
    {"ExpiredToken", "InvalidToken", "InvalidAccessKeyId", "AccessDenied", "SignatureDoesNotMatch"}
)

T = TypeVar("T")


class Cancelled(StemlineError):
    """The transfer was stopped because it is no longer wanted."""


class Exhausted(Exception):
    """A passing fault lasted longer than it is borne."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


def code_of(error: Exception) -> str:
    """The S3 error code, or the kind of a fault that came without one."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code") or status_of(error))
    return type(error).__name__


def status_of(error: Exception) -> int:
    """The HTTP status of an answer; 0 where there was none."""
    if isinstance(error, ClientError):
        return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    return 0


def passing(error: Exception) -> bool:
    """Whether the same request may succeed later."""
    if isinstance(error, ClientError):
        status = status_of(error)
        return status >= 500 or status in {408, 429} or code_of(error) in _PASSING_CODES
    return isinstance(error, PASSING)


def absent(error: Exception) -> bool:
    """Whether the object, the bucket or the upload does not exist."""
    return status_of(error) == 404


def denied(error: Exception) -> bool:
    """Whether the store refused for want of rights."""
    if isinstance(error, (NoCredentialsError, PartialCredentialsError)):
        return True
    return status_of(error) == 403 or code_of(error) in _DENIED_CODES


class Patience:
    """How much longer a passing fault is borne; progress renews it."""

    def __init__(self, seconds: float, cancelled: Callable[[], bool] | None = None) -> None:
        self._seconds = seconds
        self._cancelled = cancelled
        self.renew()

    def renew(self) -> None:
        """Start anew: something got through."""
        self._since = time.monotonic()
        self._wait = FIRST_WAIT_S

    def check(self) -> None:
        """Raise Cancelled if the transfer is no longer wanted."""
        if self._cancelled is not None and self._cancelled():
            raise Cancelled

    def bear(self, error: Exception, **where: object) -> None:
        """Wait before the next try.

        Raises:
            Exhausted: the patience is spent.
            Cancelled: the transfer is no longer wanted.
        """
        left = self._seconds - (time.monotonic() - self._since)
        if left <= 0:
            raise Exhausted(code_of(error)) from error
        wait = min(self._wait * random.uniform(0.5, 1.0), left)  # noqa: S311 - spreads retries, hides nothing
        log.warning("storage.retry", fault=code_of(error), wait_s=round(wait, 2), **where)
        self._wait = min(self._wait * 2, LONGEST_WAIT_S)
        until = time.monotonic() + wait
        while (rest := until - time.monotonic()) > 0:
            self.check()
            time.sleep(min(rest, 0.5))
        self.check()


def persist(action: Callable[[], T], patience: Patience, **where: object) -> T:
    """The action's result, tried again while its faults may pass.

    Raises:
        Exhausted: the patience is spent.
        Cancelled: the transfer is no longer wanted.
        ClientError, BotoCoreError: a fault that will not pass.
    """
    while True:
        patience.check()
        try:
            return action()
        except (ClientError, BotoCoreError, *PASSING) as error:
            if not passing(error):
                raise
            patience.bear(error, **where)
