"""Retry requests to a store within a time budget.

Transient errors (no connection, a timeout, 429, 5xx) are retried with growing random waits until the budget
is used up; every other error is raised at once. The loop is ``tenacity``'s, which takes a sleep function of
ours, so that a wait can be cancelled; ``stamina`` does not.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from threading import Lock, Thread
from typing import Generic, TypeVar

import structlog
from tenacity import (
    RetryCallState,
    RetryError,
    Retrying,
    retry_if_exception,
    stop_after_delay,
    wait_random_exponential,
)

from stemline.jobs.errors import StemlineError
from stemline.storage.faults import Fault, fault_of
from stemline.storage.s3_errors import REQUEST_ERRORS, error_code, spoken_code

log = structlog.get_logger(__name__)

FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 5.0
CANCEL_CHECK_S = 0.5
"""How often a wait checks whether the transfer was cancelled, s."""

T = TypeVar("T")
CancelCheck = Callable[[], bool]
"""Returns whether the transfer is to be stopped."""


class TransferCancelled(StemlineError):
    """The transfer was cancelled."""


class BudgetExhausted(Exception):
    """A request kept failing until its retry budget was used up."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class _Call(Generic[T]):
    """A request in a thread of its own."""

    def __init__(self, request: Callable[[], T], undo: Callable[[T], object] | None) -> None:
        self._request = request
        self._undo = undo
        self._outcome: Future[T] = Future()
        self._lock = Lock()
        self._is_left = False
        # A context variable, such as what every log line names, is this thread's own.
        run = copy_context().run
        Thread(target=run, args=(self._run,), name="transfer", daemon=True).start()

    def wait(self, check_cancelled: Callable[[], None]) -> T:
        """Return the result, or leave the request to itself if the check raises."""
        while not wait([self._outcome], CANCEL_CHECK_S).done:
            try:
                check_cancelled()
            except TransferCancelled:
                with self._lock:
                    if self._outcome.done():
                        break
                    self._is_left = True
                raise
        return self._outcome.result()

    def _run(self) -> None:
        try:
            result = self._request()
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
            self._outcome.set_exception(error)
            return
        with self._lock:
            self._outcome.set_result(result)
        if self._is_left and self._undo is not None:
            with suppress(BudgetExhausted, *REQUEST_ERRORS):
                self._undo(result)


@dataclass(frozen=True, slots=True)
class RetryBudget:
    """How long one request may be retried."""

    seconds: float
    """After this time the next transient error is final; 0 for a single try."""
    cancelled: CancelCheck | None = None

    def run(
        self,
        request: Callable[[], T],
        *,
        bucket: str,
        undo: Callable[[T], object] | None = None,
        **context: object,
    ) -> T:
        """Run a request, with retries, and return its result.

        A request that can be cancelled runs in a thread, so that a store that is silent delays no cancel. The
        thread is left to itself then, and ends at the latest when the client's timeout does.

        Args:
            request: May be called several times.
            bucket: Name of the bucket, for the log: several may be on stores of their own.
            undo: Called with the result of a request that succeeds after it was cancelled.
            context: What else to log with a retry.

        Raises:
            BudgetExhausted: Transient errors lasted longer than the budget.
            TransferCancelled: The transfer was cancelled.
            ClientError, BotoCoreError: An error that is not transient.
        """

        def try_once() -> T:
            self.check_cancelled()
            return request() if self.cancelled is None else _Call(request, undo).wait(self.check_cancelled)

        def log_retry(state: RetryCallState) -> None:
            cause = state.outcome.exception() if state.outcome else None
            code, wait_s = error_code(cause) if cause else "", round(state.upcoming_sleep, 2)
            log.warning("storage.retry_scheduled", bucket=bucket, error=code, wait_s=wait_s, **context)

        retrying = Retrying(
            retry=retry_if_exception(lambda error: fault_of(error) is Fault.STORE),
            stop=stop_after_delay(self.seconds),
            wait=wait_random_exponential(multiplier=FIRST_WAIT_S, max=LONGEST_WAIT_S),
            sleep=self.wait,
            before_sleep=log_retry,
        )
        try:
            return retrying(try_once)
        except RetryError as error:
            cause = error.last_attempt.exception()
            raise BudgetExhausted(spoken_code(cause or error)) from cause

    def wait(self, seconds: float) -> None:
        """Sleep.

        Raises:
            TransferCancelled: The transfer was cancelled meanwhile.
        """
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.check_cancelled()
            time.sleep(min(left, CANCEL_CHECK_S))

    def check_cancelled(self) -> None:
        """Raise TransferCancelled if the transfer is to be stopped."""
        if self.cancelled is not None and self.cancelled():
            raise TransferCancelled
