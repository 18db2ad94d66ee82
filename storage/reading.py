"""Read an object in pieces, so that neither memory nor a file holds the whole of it."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any, Final

from botocore.exceptions import ClientError, IncompleteReadError

from stemline.jobs.errors import SourceTooLarge
from stemline.runtime.compat.botocore import read_available
from stemline.storage.clients import BucketClient
from stemline.storage.download import ObjectChanged
from stemline.storage.retry import RetryBudget, TransferCancelled
from stemline.storage.s3_errors import UnusableResponse, status_of

PIECE_BYTES: Final = 256 << 10
_RANGE = re.compile(r"bytes ([0-9]{1,15})-[0-9]{1,15}/([0-9]{1,15})")


class PieceReader:
    """One object, read by a request for each piece; each is tried again on its own."""

    def __init__(
        self, bucket: BucketClient, key: str, *, max_bytes: int, within_s: float, patience_s: float
    ) -> None:
        """Request nothing yet.

        Args:
            bucket: Where the object is.
            key: Its key.
            max_bytes: A larger object is refused.
            within_s: How long all requests may take together, s; what is done with the pieces does not count.
            patience_s: How long one request may be tried again, s.
        """
        self._bucket = bucket
        self._key = key
        self._max_bytes = max_bytes
        self._left_s = within_s
        self._patience_s = patience_s
        self._etag = ""
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
        budget = RetryBudget(self._patience_s, lambda: time.monotonic() > end)
        try:
            piece, self._is_complete = budget.run(lambda: self._request(end), key=self._key)
        except ClientError as error:
            if status_of(error) == 416 and not self._received:
                piece, self._is_complete = b"", True  # an empty object has no range
            elif status_of(error) in {412, 416}:
                raise ObjectChanged from error
            else:
                raise
        self._left_s -= time.monotonic() - began
        self._received += len(piece)
        return piece

    def _request(self, end: float) -> tuple[bytes, bool]:
        """Request a piece; return it, and whether it is the last one."""
        first = self._received
        asked = {"Range": f"bytes={first}-{first + PIECE_BYTES - 1}"}
        asked |= {"IfMatch": self._etag} if self._etag else {}
        response = self._bucket.s3.get_object(Bucket=self._bucket.name, Key=self._key, **asked)
        with closing(response["Body"]) as body:
            skipped, size = _place(response, first)
            if size is not None and size > self._max_bytes:
                raise SourceTooLarge
            self._etag = self._etag or response.get("ETag", "")
            piece = _read(body, skipped + PIECE_BYTES, end)[skipped:]
        if first + len(piece) > self._max_bytes:
            raise SourceTooLarge
        if size is None:
            return piece, len(piece) < PIECE_BYTES
        expected = min(PIECE_BYTES, size - first)
        if len(piece) != expected:
            raise IncompleteReadError(actual_bytes=len(piece), expected_bytes=expected)
        return piece, first + expected == size


def _place(response: Mapping[str, Any], first: int) -> tuple[int, int | None]:
    """Return how many bytes precede those asked for, and the size of the object where it is known.

    Raises:
        UnusableResponse: The response has another part of the object.
    """
    if "ContentRange" not in response:  # the store ignored the range
        length = response.get("ContentLength")
        return first, None if length is None else int(length)
    match = _RANGE.fullmatch(str(response["ContentRange"]))
    if match is None or int(match[1]) != first:
        raise UnusableResponse(operation="GetObject", field="Content-Range")
    return 0, int(match[2])


def _read(body: Any, most: int, end: float) -> bytes:
    found = bytearray()
    while len(found) < most and (chunk := read_available(body, most - len(found))):
        found += chunk
        if time.monotonic() > end:
            raise TransferCancelled
    return bytes(found)
