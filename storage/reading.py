"""Read an object in pieces, so that neither memory nor a file holds the whole of it."""

from __future__ import annotations

import time
from typing import Any, Final

from botocore.exceptions import ClientError, IncompleteReadError

from stemline.jobs.errors import SourceTooLarge
from stemline.runtime.compat.botocore import read_available
from stemline.storage.clients import BucketClient
from stemline.storage.download import ObjectChanged
from stemline.storage.ranges import ObjectReplaced, is_another_object, is_end, request_part
from stemline.storage.retry import RetryBudget, TransferCancelled

PIECE_BYTES: Final = 256 << 10


class PieceReader:
    """One object, read by a request for each piece; each is tried again on its own."""

    def __init__(
        self, bucket: BucketClient, key: str, *, max_bytes: int, within_s: float, retry_budget_s: float
    ) -> None:
        """Request nothing yet.

        Args:
            bucket: Where the object is.
            key: Its key.
            max_bytes: A larger object is refused.
            within_s: How long all requests may take together, s; what is done with the pieces does not count.
            retry_budget_s: How long one request may be tried again, s.
        """
        self._bucket = bucket
        self._key = key
        self._max_bytes = max_bytes
        self._left_s = within_s
        self._retry_budget_s = retry_budget_s
        self._etag = ""
        self._size: int | None = None
        self._received = 0
        self._is_complete = False

    @property
    def is_complete(self) -> bool:
        """Whether every byte was read."""
        return self._is_complete

    def next_piece(self) -> bytes:
        """Return the next bytes; none at the end.

        Raises:
            SourceTooLarge: The object is larger than allowed.
            ObjectChanged: It was replaced meanwhile.
            TransferCancelled: The requests took too long.
            BudgetExhausted: The store was unavailable for too long.
            ClientError, BotoCoreError: The store refused.
        """
        began = time.monotonic()
        end = began + self._left_s
        budget = RetryBudget(self._retry_budget_s, lambda: time.monotonic() > end)
        try:
            piece, self._is_complete = budget.run(
                lambda: self._request(end), bucket=self._bucket.name, key=self._key
            )
        except (ClientError, ObjectReplaced) as error:
            if self._size is None and is_end(error, self._received):
                piece, self._is_complete = b"", True  # an empty object has no range
            elif is_another_object(error):
                raise ObjectChanged from error
            else:
                raise
        self._left_s -= time.monotonic() - began
        self._received += len(piece)
        return piece

    def _request(self, end: float) -> tuple[bytes, bool]:
        """Request a piece; return it, and whether it is the last one."""
        first = self._received
        with request_part(
            self._bucket, self._key, first, most=PIECE_BYTES, etag=self._etag, size=self._size
        ) as part:
            if part.size is not None and part.size > self._max_bytes:
                raise SourceTooLarge
            skipped = first - part.first
            piece = _read(part.body, skipped + PIECE_BYTES, end)[skipped:]
        if first + len(piece) > self._max_bytes:
            raise SourceTooLarge
        self._etag, self._size = self._etag or part.etag, part.size if self._size is None else self._size
        known = self._size if part.end is None else part.end
        if known is None:
            return piece, len(piece) < PIECE_BYTES
        expected = max(0, min(PIECE_BYTES, known - first))
        if len(piece) != expected:
            raise IncompleteReadError(actual_bytes=len(piece), expected_bytes=expected)
        return piece, first + expected == self._size


def _read(body: Any, most: int, end: float) -> bytes:
    found = bytearray()
    while len(found) < most and (chunk := read_available(body, most - len(found))):
        found += chunk
        if time.monotonic() > end:
            raise TransferCancelled
    return bytes(found)
