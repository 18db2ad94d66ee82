"""Downloads that are resumed where they broke off."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from stemline.separation.disk import is_full, writing_to
from stemline.separation.errors import OptionError, WeightsCorrupt, WeightsMissing

#: Called with the bytes that are downloaded and the bytes expected (None where unknown).
Progress = Callable[[int, int | None], None]
#: Opens `url` at byte `offset`: returns the offset served, the total size (None where unknown), and a reader.
Opener = Callable[[str, int], tuple[int, int | None, Any]]

_CHUNK_BYTES = 1 << 18
_TIMEOUT_S = 30.0
#: How often a broken connection is retried, and the first pause before, in seconds; it doubles each time.
_ATTEMPTS = 5
_PAUSE_S = 1.0
_RANGE_NOT_SATISFIABLE = 416
_NOT_FOUND = frozenset({401, 403, 404, 410})


def transfer(
    url: str, target: Path, *, limit: int, progress: Progress | None = None, pause_s: float = _PAUSE_S
) -> None:
    """Download `url` (http, https or s3) to `target`, resuming an earlier download.

    Args:
        url: The address.
        target: The file, which may hold a part already; the caller verifies it.
        limit: The largest size that is accepted, bytes.
        progress: Called after each chunk.
        pause_s: The pause before the first retry, seconds.

    Raises:
        WeightsMissing: There is no such file, or the connection kept breaking.
        WeightsCorrupt: It is larger than `limit`.
        OptionError: The address has another scheme.
        OSError: The disk is full; what has arrived stays.
    """
    opener = _opener(url)
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(pause_s * 2 ** (attempt - 1))
        try:
            if _continue(opener, url, target, limit, progress):
                return
        except urllib.error.HTTPError as error:
            reason: Exception = error
            if error.code in _NOT_FOUND:
                break
        except (OSError, HTTPException) as error:
            if is_full(error):
                raise
            reason = error
        else:
            reason = WeightsMissing("the connection broke")
    raise WeightsMissing(f"{redacted(url)} could not be fetched: {_why(reason)}") from reason


def _why(error: Exception) -> str:
    """Return why a download failed, in words."""
    match error:
        case urllib.error.HTTPError():
            return f"the server answered {error.code}"
        case urllib.error.URLError(reason=OSError() as cause):
            return _why(cause)
        case OSError(strerror=str(words)) if words:
            return words
        case _:
            return str(error) or "the connection broke"


def _continue(opener: Opener, url: str, target: Path, limit: int, progress: Progress | None) -> bool:
    """Download the missing part; return whether the file is complete."""
    present = target.stat().st_size if target.exists() else 0
    offset, size, reader = opener(url, present)
    with writing_to(target), reader, target.open("r+b" if present and offset else "wb") as file:
        file.seek(offset)
        file.truncate()
        while chunk := reader.read(_CHUNK_BYTES):
            file.write(chunk)
            if file.tell() > limit:
                raise WeightsCorrupt(f"{redacted(url)} is larger than {limit} bytes.")
            if progress is not None:
                progress(file.tell(), size)
        return size is None or file.tell() == size


def _opener(url: str) -> Opener:
    scheme = urlsplit(url).scheme
    if scheme in ("http", "https"):
        return _open_http
    if scheme == "s3":
        return _open_s3
    raise OptionError(f"Weights come from http, https or s3 addresses, not from {scheme or url!r}.")


def _open_http(url: str, offset: int) -> tuple[int, int | None, Any]:
    request = urllib.request.Request(url, headers={"User-Agent": "stemline"})  # noqa: S310  # scheme checked
    if offset:
        request.add_header("Range", f"bytes={offset}-")
    try:
        answer = urllib.request.urlopen(request, timeout=_TIMEOUT_S)  # noqa: S310 # nosec B310
    except urllib.error.HTTPError as error:
        if error.code != _RANGE_NOT_SATISFIABLE or not offset:
            raise
        # The file here is as long as the whole one, or is another one: start again.
        error.close()
        return _open_http(url, 0)
    length = answer.headers.get("Content-Length")
    served = offset if answer.status == 206 else 0
    return served, served + int(length) if length is not None else None, answer


def _open_s3(url: str, offset: int) -> tuple[int, int | None, Any]:
    import boto3  # noqa: PLC0415  # needed for s3 mirrors only
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    parts = urlsplit(url)
    where = {"Bucket": parts.netloc, "Key": parts.path.lstrip("/")}
    client = boto3.client("s3")
    try:
        size = int(client.head_object(**where)["ContentLength"])
        if offset >= size:
            offset = 0
        body = client.get_object(**where, Range=f"bytes={offset}-")["Body"]
    except (BotoCoreError, ClientError) as error:
        raise OSError(str(error)) from error
    return offset, size, body


def redacted(url: str) -> str:
    """Return `url` without user, password and query, which may be secrets."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"
