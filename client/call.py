"""One request to the service and how its answer is read; nothing is sent here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote

from stemline.client.answers import Raw, number, text
from stemline.client.errors import NotFound
from stemline.wire.codec import JSON
from stemline.wire.queries import MAX_IDS
from stemline.wire.times import format_time

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
PAGE: Final = 100
"""Largest page of every list."""
LONGEST_WAIT_S: Final = 25
"""How long one request asks the service to hold its answer until the job has ended."""


@dataclass(frozen=True, slots=True)
class Call(Generic[T_co]):
    """One request, and how its answer is read."""

    method: str
    path: str
    """Encoded."""
    read: Callable[[Raw], T_co]
    params: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    content: bytes = b""
    """Body that is sent as it is, instead of ``body``."""
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = True
    """Whether it may be sent again if it is not known whether the service received it."""


@dataclass(frozen=True, slots=True)
class Changed:
    """What a request for all jobs or callbacks of a filter did."""

    count: int
    """Those that match, of which all were changed unless it was a dry run."""
    cursor: str
    """Where the same request goes on; empty if nothing is left."""


def changed(raw: Raw) -> Changed:
    """Read the answer to a request for all that match a filter."""
    return Changed(number(raw, "MatchedCount"), text(raw, "NextToken"))


def nothing(_: Raw) -> None:
    """Read an answer that says nothing more than that it was done."""


def one(found: Mapping[str, T], name: str, what: str) -> T:
    """Return the only thing that was asked for.

    Raises:
        NotFound: It was not found.
    """
    if name not in found:
        raise NotFound("NoSuchResource", f"there is no {what} {name} in this bucket", status=404)
    return found[name]


def in_tens(ids: Iterable[str]) -> Iterable[list[str]]:
    """Yield ids in groups of as many as a request may name."""
    rest = list(dict.fromkeys(ids))
    for start in range(0, len(rest), MAX_IDS):
        yield rest[start : start + MAX_IDS]


def segment(name: str) -> str:
    """Return an id as a segment of a path, encoded.

    No id holds what would end the segment, leave it, or be read as two ids. Where one is given that does,
    that is encoded twice, so that the service looks for it and says that there is none.
    """
    if name in {".", ".."}:
        name = name.replace(".", "%2E")
    return quote(name.replace("/", "%2F").replace(",", "%2C"), safe="")


def joined(ids: Sequence[str]) -> str:
    """Return ids as a part of a path."""
    return ",".join(map(segment, ids))


def wire_time(value: datetime | None) -> str:
    """Return a time as on the wire; empty for none.

    Raises:
        TypeError: It is something else than a time.
    """
    if value is not None and not isinstance(value, datetime):
        raise TypeError(f"{value!r} is no time: give a datetime")
    return "" if value is None else format_time(round(value.timestamp() * 1e6))


def given(params: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters that are not empty."""
    return {name: value for name, value in params.items() if value}


def prefer_wait(wait_s: float) -> dict[str, str]:
    """Return the header that asks the service to hold its answer; none for less than a second."""
    return {"Prefer": f"wait={min(round(wait_s), LONGEST_WAIT_S)}"} if wait_s >= 1 else {}
