"""Fetching a source object into a file, whatever happens to the connection on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from botocore.exceptions import BotoCoreError, ClientError, IncompleteReadError

from stemline.jobs.errors import SourceTooLarge, StemlineError
from stemline.storage.clients import Place
from stemline.storage.retry import PASSING, Patience, passing, status_of

CHUNK_BYTES = 1 << 20
_RESTARTS = 3
"""How often an object may change under the download before it is given up."""


@dataclass(frozen=True, slots=True)
class ObjectHead:
    """What a store says about an object."""

    size: int
    """Bytes."""
    etag: str
    content_type: str
    job_id: str
    """The job that wrote it; empty for any other object."""
    token: int
    """The fencing token it was written under; 0 for any other object."""


class ObjectChanged(StemlineError):
    """The input object keeps changing while it is read."""


class Download:
    """One object on its way into a file."""

    def __init__(
        self,
        place: Place,
        key: str,
        *,
        max_bytes: int,
        patience: Patience,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self._place = place
        self._key = key
        self._max_bytes = max_bytes
        self._patience = patience
        self._progress = progress
        self._etag = ""
        self._done = 0
        self._restarts = 0

    def run(self, path: Path) -> int:
        """Fetch the object; its size in bytes.

        Raises:
            SourceTooLarge: it is larger than allowed; nothing of it was fetched.
            ObjectChanged: it was replaced again and again meanwhile.
            Exhausted: the store stayed away.
            Cancelled: the transfer is no longer wanted.
            ClientError, BotoCoreError: the store refused.
        """
        with path.open("wb") as file:
            while True:
                self._patience.check()
                try:
                    return self._fetch(file)
                except (ClientError, BotoCoreError, *PASSING) as error:
                    if self._done and status_of(error) in {412, 416}:
                        self._restart(file)
                    elif passing(error):
                        self._patience.bear(error, key=self._key, bytes=self._done)
                    else:
                        raise

    def _restart(self, file: BinaryIO) -> None:
        self._restarts += 1
        if self._restarts > _RESTARTS:
            raise ObjectChanged
        self._done = 0
        file.seek(0)
        file.truncate()

    def _fetch(self, file: BinaryIO) -> int:
        wanted = {"Range": f"bytes={self._done}-", "IfMatch": self._etag} if self._done else {}
        answer = self._place.client.get_object(Bucket=self._place.bucket, Key=self._key, **wanted)
        body = answer["Body"]
        try:
            if self._done and "ContentRange" not in answer:
                # The store ignored the range and sends the whole object.
                self._restart(file)
            size = self._done + int(answer["ContentLength"])
            if size > self._max_bytes:
                raise SourceTooLarge
            self._etag = answer.get("ETag", "")
            self._copy(body, file, size)
        finally:
            body.close()
        return size

    def _copy(self, body: Any, file: BinaryIO, size: int) -> None:
        while chunk := body.read(CHUNK_BYTES):
            file.write(chunk)
            self._done += len(chunk)
            self._patience.renew()
            self._patience.check()
            if self._progress is not None:
                self._progress(self._done, size)
        if self._done != size:
            raise IncompleteReadError(actual_bytes=self._done, expected_bytes=size)


def head(place: Place, key: str) -> ObjectHead:
    """What the store says about an object.

    Raises:
        ClientError, BotoCoreError: it says no, or nothing.
    """
    answer = place.client.head_object(Bucket=place.bucket, Key=key)
    metadata = {name.lower(): value for name, value in answer.get("Metadata", {}).items()}
    token = metadata.get("stemline-token", "")
    return ObjectHead(
        size=int(answer["ContentLength"]),
        etag=answer.get("ETag", ""),
        content_type=answer.get("ContentType", ""),
        job_id=metadata.get("stemline-job", ""),
        token=int(token) if token.isdecimal() else 0,
    )
