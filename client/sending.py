"""Sending a file through URLs that the service signs, for clients without keys of the bucket."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import httpx

from stemline.client import uploads
from stemline.client.errors import ApiError, ClientError, TransferFailed
from stemline.client.exchange import reaching, reason_of_transfer
from stemline.client.names import safe_name
from stemline.client.unanswered import UnansweredTries
from stemline.jobs.reasons import reason_of

if TYPE_CHECKING:
    from stemline.client.objects import Progress
    from stemline.client.sender import Sender
    from stemline.client.uploads import Upload

_CHUNK: Final = 1 << 18
_FAULTS: Final = 5
"""Parts that may fail; each of them is sent again."""
_REFUSALS: Final = frozenset({401, 403, 404, 405, 413, 501})
"""Statuses with which a store refuses a part for good, unless its link was old."""


def send_file(client: Sender, path: Path, progress: Progress | None = None) -> str:
    """Send a file in parts, and return the key that the service chose.

    Raises:
        TransferFailed: The file cannot be read, the service takes no uploads, or the bucket no parts.
    """
    try:
        with ExitStack() as stack:
            file = stack.enter_context(path.open("rb"))
            size = path.stat().st_size
            upload = client.send(uploads.begin_upload(safe_name(path.name), size))
            try:
                return _send_parts(client, upload, file, progress)
            except BaseException:
                stack.callback(_give_up, client, upload)
                raise
    except OSError as error:
        raise TransferFailed(f"{path} could not be read: {reason_of(error)}") from error
    except ApiError as error:
        if error.status in {403, 503}:
            raise
        raise TransferFailed(f"{path} could not be sent: {error}") from error


def _send_parts(client: Sender, upload: Upload, file: BinaryIO, progress: Progress | None) -> str:
    faults, unanswered = 0, UnansweredTries()
    while upload.parts:
        links = list(upload.parts.items())
        for number, url in links:
            start = (number - 1) * upload.part_size
            length = min(upload.part_size, upload.size - start)
            try:
                answer = httpx.put(
                    url,
                    content=_read(file, start, length, progress),
                    headers={"Content-Length": str(length)},
                    timeout=30,
                    **reaching(url),
                )
                unanswered.answered()
                answer.raise_for_status()
            except httpx.HTTPError as error:
                faults += 1
                is_silent = isinstance(error, httpx.TransportError) and unanswered.should_end()
                # The first link is new, so it has not expired.
                is_refused = number == links[0][0] and _is_refusal(error)
                if faults >= _FAULTS or is_silent or is_refused:
                    raise TransferFailed(
                        f"part {number} of {upload.key} could not be sent: {reason_of_transfer(error)}"
                    ) from error
                break  # what arrived of it is asked for below
        upload = client.send(uploads.resume_upload(upload))
    return client.send(uploads.complete_upload(upload))


def _is_refusal(error: httpx.HTTPError) -> bool:
    return isinstance(error, httpx.HTTPStatusError) and error.response.status_code in _REFUSALS


def _read(file: BinaryIO, start: int, length: int, progress: Progress | None) -> Iterator[bytes]:
    """Yield the bytes of a part."""
    file.seek(start)
    while length > 0:
        chunk = file.read(min(_CHUNK, length))
        if not chunk:
            raise TransferFailed("the file became shorter while it was sent")
        yield chunk
        length -= len(chunk)
        if progress is not None:
            progress(len(chunk))


def _give_up(client: Sender, upload: Upload) -> None:
    """Have the parts deleted; the bucket deletes what is left over by its own rules otherwise."""
    try:
        client.send(uploads.abort_upload(upload))
    except ClientError:
        return
