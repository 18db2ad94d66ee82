"""Request an object, or a part of it, and check that the response holds just that."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from stemline.storage.clients import BucketClient
from stemline.storage.s3_errors import UnusableResponse, field_of, status_of

_RANGE: Final = re.compile(r"bytes ([0-9]{1,15})-[0-9]{1,15}/([0-9]{1,15}|\*)")
_UNSATISFIED: Final = frozenset({412, 416})
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
    size: int | None
    """Size of the whole object, bytes; ``None`` if the response does not have it."""
    etag: str


@contextmanager
def request_part(
    bucket: BucketClient, key: str, first: int = 0, *, most: int | None = None, etag: str = ""
) -> Iterator[Part]:
    """Request an object from a byte on; the response is closed at the end.

    Args:
        bucket: Where the object is.
        key: Its key.
        first: The first byte wanted.
        most: How many bytes are wanted; by default all that follow.
        etag: An object with another one is refused.

    Raises:
        UnusableResponse: The response has another part of the object, or is not from a store.
        ObjectReplaced: It has a part of an object with another ETag.
        ClientError, BotoCoreError: The store refused, or cannot be reached.
    """
    options = {"IfMatch": etag} if etag else {}
    if first or most is not None:
        options["Range"] = f"bytes={first}-" + ("" if most is None else str(first + most - 1))
    response = bucket.s3.get_object(Bucket=bucket.name, Key=key, **options)
    with closing(response["Body"]) as body:
        begins, size = 0, response.get("ContentLength")
        if "ContentRange" in response:
            match = _RANGE.fullmatch(str(response["ContentRange"]))
            if match is None or int(match[1]) != first:
                raise UnusableResponse(operation="GetObject", field="Content-Range")
            begins, size = first, None if match[2] == "*" else match[2]
        found = field_of(response, "ETag", "GetObject")
        if etag and found != etag:  # the store does not know If-Match
            raise ObjectReplaced
        # A chunked response, as of some gateways, has no length; its own last chunk marks the end.
        yield Part(body, begins, None if size is None else int(size), found)


def is_another_object(error: BaseException) -> bool:
    """Return whether a part is missing because the object was replaced, or is shorter than that."""
    if isinstance(error, ClientError):
        return status_of(error) in _UNSATISFIED
    return isinstance(error, ObjectReplaced)
