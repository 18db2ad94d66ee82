"""Download an object into a file, and resume where a connection broke."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import structlog
from botocore.exceptions import IncompleteReadError

from stemline.jobs.errors import SourceTooLarge, StemlineError
from stemline.runtime.compat.botocore import read_available
from stemline.storage.clients import BucketClient
from stemline.storage.faults import Fault, fault_of
from stemline.storage.ranges import ObjectReplaced, Part, is_another_object, is_end, request_part
from stemline.storage.retry import BudgetExhausted, RetryBudget
from stemline.storage.s3_errors import REQUEST_ERRORS, UnusableResponse, error_code

log = structlog.get_logger(__name__)

CHUNK_BYTES = 1 << 20
MIN_BYTES_PER_S = 16 << 10
"""Slowest rate of a download."""
MIN_BUDGET_S = 30.0
"""How long a download may be slower, unless the budget is longer, s."""
MAX_RESTARTS = 3
"""How often an object may be replaced during its download."""


@dataclass(frozen=True, slots=True)
class Downloaded:
    """What was downloaded."""

    size: int
    """Bytes."""
    etag: str
    """Of the object that all of them are from."""


class ObjectChanged(StemlineError):
    """The input object kept changing while it was read."""


class Download:
    """The download of one object; ``run`` may be called once."""

    def __init__(
        self,
        bucket: BucketClient,
        key: str,
        *,
        max_bytes: int,
        budget: RetryBudget,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self._bucket = bucket
        self._key = key
        self._max_bytes = max_bytes
        self._budget = budget
        self._progress = progress
        self._etag = ""
        self._received = 0
        self._size: int | None = None
        self._furthest = 0
        self._restarts = 0
        self._began = time.monotonic()

    def run(self, path: Path) -> Downloaded:
        """Download the object into a file.

        Raises:
            SourceTooLarge: It is larger than allowed; nothing was fetched if the store gave its size.
            ObjectChanged: It was replaced again and again meanwhile.
            BudgetExhausted: The store was unavailable for too long.
            TransferCancelled: The transfer was cancelled.
            ClientError, BotoCoreError: The store refused.
        """
        with path.open("wb") as file:
            complete = False
            while not complete:
                # A request that made progress is followed by one with a full budget.
                complete = self._budget.run(
                    lambda: self._fetch(file), bucket=self._bucket.name, key=self._key
                )
        return Downloaded(self._received, self._etag)

    def _fetch(self, file: BinaryIO) -> bool:
        """Request the rest of the object; return whether it is now complete."""
        start, furthest = self._received, self._furthest
        if not start:
            self._etag, self._size = "", None
        size = self._size
        try:
            with request_part(self._bucket, self._key, start, etag=self._etag, size=size) as part:
                self._check(part, file)
                return self._copy(part, file)
        except REQUEST_ERRORS as error:
            if start and size is None and is_end(error, start):
                return True
            if self._received and is_another_object(error):
                self._restart(file)
            elif fault_of(error) is not Fault.STORE or self._furthest <= furthest:
                raise
            log.warning(
                "storage.download_interrupted",
                bucket=self._bucket.name,
                key=self._key,
                bytes=self._received,
                error=error_code(error),
            )
            return False

    def _check(self, part: Part, file: BinaryIO) -> None:
        """Check what a response says of the object before its body is read."""
        if part.first != self._received:
            self._rewind(file)  # the store ignored the range and sends the whole object
        if part.size is not None:
            self._size = part.size
        if (self._size or 0) > self._max_bytes:
            raise SourceTooLarge
        self._etag = part.etag

    def _copy(self, part: Part, file: BinaryIO) -> bool:
        """Write the body of a response to the file; return whether the object is now complete."""
        while chunk := read_available(part.body, CHUNK_BYTES):
            if part.end is not None and self._received + len(chunk) > part.end:
                self._rewind(file)  # a chunked response that contradicts itself: nothing of it is certain
                raise UnusableResponse(operation="GetObject", field="valid length")
            file.write(chunk)
            self._received += len(chunk)
            self._furthest = max(self._furthest, self._received)
            self._budget.check_cancelled()
            self._check_speed()
            if self._received > self._max_bytes:
                raise SourceTooLarge
            if self._progress is not None:
                self._progress(self._received, self._size or self._max_bytes)
        expected = self._size if part.end is None else part.end
        if expected is not None and self._received > expected:
            raise ObjectReplaced
        if expected is not None and self._received < expected:
            raise IncompleteReadError(actual_bytes=self._received, expected_bytes=expected)
        # Where the store does not say how large the object is, the next request shows whether more follows.
        return part.end is None if self._size is None else self._received == self._size

    def _check_speed(self) -> None:
        """Give up on a store that sends next to nothing, which would hold the worker for hours.

        Raises:
            BudgetExhausted: The object has been slower than MIN_BYTES_PER_S for longer than the budget.
        """
        allowed_s = max(self._budget.seconds, MIN_BUDGET_S) + self._received / MIN_BYTES_PER_S
        if time.monotonic() - self._began > allowed_s:
            raise BudgetExhausted("it sends too slowly")

    def _restart(self, file: BinaryIO) -> None:
        """Begin again with another object."""
        self._restarts += 1
        if self._restarts > MAX_RESTARTS:
            raise ObjectChanged
        self._furthest = 0
        self._rewind(file)

    def _rewind(self, file: BinaryIO) -> None:
        self._received = 0
        file.seek(0)
        file.truncate()
