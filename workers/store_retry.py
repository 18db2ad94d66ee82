"""Calls of the job store that wait for it while it is unavailable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from stemline.jobs.errors import LeaseLost, StoreUnavailable

T = TypeVar("T")

WAIT_S: Final = 0.5
LIMIT_S: Final = 600.0
"""How long a call is repeated, s. Writes carry the fencing token, so the store refuses stale ones."""


def retry_until_stored(call: Callable[[], T]) -> T:
    """Repeat a call while the store is unavailable, and return its answer.

    Every call of an attempt: an error would end it without a record, and its job would wait for the lease.

    Raises:
        LeaseLost: The store refused the token, or was unavailable for too long.
        CancelAsked: The store refused the write because a cancel was requested.
    """
    retrying = Retrying(
        retry=retry_if_exception_type(StoreUnavailable),
        stop=stop_after_delay(LIMIT_S),
        wait=wait_fixed(WAIT_S),
    )
    try:
        return retrying(call)
    except RetryError:
        raise LeaseLost from None
