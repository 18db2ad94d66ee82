"""Request an object, or a part of it, and check that the response holds just that."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from stemline.storage.clients import BucketClient
from stemline.storage.s3_errors import UnusableResponse, field_of, status_of

_RANGE: Final = re.compile(r"bytes ([0-9]{1,15})-([0-9]{1,15})/([0-9]{1,15}|\*)")
_PARTIAL: Final = 206
_NOTHING_THERE: Final = 416
_UNSATISFIED: Final = frozenset({412, _NOTHING_THERE})
"""Statuses where the object is another one, or ends before the part."""


class ObjectReplaced(BotoCoreError):  # type: ignore[misc]  # botocore ships no types
    """A store sent a part of another object than the one that was asked for."""

    fmt = "The object was replaced while it was read"


@dataclass(frozen=True, slots=True)
class Part:
    """A response whose body has not been read."""

    body: Any
    """A stream of botocore."""
    first: int
    """Place of the body's first byte in the object: 0 if the store ignored the range."""
    end: int | None
    """Place after its last byte; ``None`` if only the end of the body shows it."""
    size: int | None
    """Size of the whole object, bytes; ``None`` if the response does not have it."""
    etag: str


@contextmanager
def request_part(
    bucket: BucketClient,
    key: str,
    first: int = 0,
    *,
    most: int | None = None,
    etag: str = "",
    size: int | None = None,
) -> Iterator[Part]:
    """Request an object from a byte on; the response is closed at the end.

    Args:
        bucket: Where the object is.
        key: Its key.
        first: The first byte wanted.
        most: How many bytes are wanted; by default all that follow.
        etag: An object with another one is refused.
        size: An object with another size is refused, bytes; ``None`` if it is not known.

    Raises:
        UnusableResponse: The response has another part of the object, or is not from a store.
        ObjectReplaced: It has a part of an object with another ETag or size.
        ClientError, BotoCoreError: The store refused, or cannot be reached.
    """
    options = {"IfMatch": etag} if etag else {}
    if first or most is not None:
        options["Range"] = f"bytes={first}-" + ("" if most is None else str(first + most - 1))
    response = bucket.s3.get_object(Bucket=bucket.name, Key=key, **options)
    with closing(response["Body"]) as body:
        begins, end, total = _place(response, first)
        found = field_of(response, "ETag", "GetObject")
        # A store may not know If-Match, and not every ETag changes with the object.
        if (etag and found != etag) or (None not in {size, total} and size != total):
            raise ObjectReplaced
        yield Part(body, begins, end, total, found)


def _place(response: Mapping[str, Any], first: int) -> tuple[int, int | None, int | None]:
    """Return where the body of a response begins and ends in the object, and the size of the object.

    Raises:
        UnusableResponse: It does not begin at the byte that was asked for, or contradicts itself.
    """
    length = response.get("ContentLength")
    if length is not None and length < 0:
        raise UnusableResponse(operation="GetObject", field="valid Content-Length")
    unusable = UnusableResponse(operation="GetObject", field="valid Content-Range")
    if "ContentRange" not in response:
        if response.get("ResponseMetadata", {}).get("HTTPStatusCode") == _PARTIAL:
            raise unusable  # of several parts, or of one that may begin anywhere
        # A chunked response, as of some gateways, has no length; its own last chunk marks the end.
        return 0, length, length
    match = _RANGE.fullmatch(str(response["ContentRange"]))
    if match is None or int(match[1]) != first:
        raise unusable
    end, size = int(match[2]) + 1, None if match[3] == "*" else int(match[3])
    if end <= first or (size is not None and end > size) or length not in {None, end - first}:
        raise unusable
    return first, end, size


def is_another_object(error: BaseException) -> bool:
    """Return whether a part is missing because the object was replaced, or is shorter than that."""
    if isinstance(error, ClientError):
        return status_of(error) in _UNSATISFIED
    return isinstance(error, ObjectReplaced)


def is_end(error: BaseException, place: int) -> bool:
    """Return whether a store refused a part because the object, whose size was not known, ends before it."""
    if not isinstance(error, ClientError) or status_of(error) != _NOTHING_THERE:
        return False
    said = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("content-range", "")
    return said in {"", f"bytes */{place}"}
