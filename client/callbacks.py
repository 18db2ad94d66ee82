"""Callbacks: what the service sends when a job has ended, and the attempts to deliver it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from stemline.client.answers import Raw, child, children, number, text, time_of
from stemline.client.call import PAGE, Call, Changed, changed, given, joined, wire_time


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to deliver a callback."""

    at: datetime | None
    status: str
    """HTTP status, or a word such as ``timeout``."""
    duration_ms: int
    answer: str


@dataclass(frozen=True, slots=True)
class Callback:
    """A callback and the attempts to deliver it."""

    id: str
    job_id: str
    state: str
    """``Pending``, ``Delivered`` or ``Dead``."""
    to: str
    """The URL, or mode, name and region of the message queue."""
    format: str
    created: datetime | None = None
    next: datetime | None = None
    """When the next attempt is due; ``None`` if there will be none."""
    attempts: tuple[Attempt, ...] = ()
    raw: Raw = field(default_factory=dict, repr=False)


def read_callback(raw: Raw) -> Callback:
    """Return a callback of an answer."""
    mq = child(raw, "MqConfig")
    names = ("MqMode", "MqName", "MqRegion")
    return Callback(
        id=text(raw, "CallbackId"),
        job_id=text(raw, "JobId"),
        state=text(raw, "State"),
        to=" ".join(text(mq, name) for name in names) if mq else text(raw, "Url"),
        format=text(raw, "Format"),
        created=time_of(raw, "CreationTime"),
        next=time_of(raw, "NextTime"),
        attempts=tuple(
            Attempt(
                time_of(each, "Time"), text(each, "Status"), number(each, "DurationMs"), text(each, "Answer")
            )
            for each in children(raw, "Attempt")
        ),
        raw=raw,
    )


def callbacks(
    *, states: Iterable[str] = (), host: str = "", since: datetime | None = None, page_number: int = 1
) -> Call[tuple[list[Callback], int]]:
    """Return one page of callbacks and the number of all, latest first.

    Args:
        states: ``Pending``, ``Delivered`` and ``Dead``; all of them if empty.
        host: Host of the URL, or ``MqRegion/MqName``.
        since: Those of jobs that ended since then, dead ones that were given up since then.
        page_number: From 1.
    """
    params = {
        "states": ",".join(states) or "All",
        "host": host,
        "startTime": wire_time(since),
        "pageNumber": str(page_number),
        "pageSize": str(PAGE),
    }
    return Call(
        "GET",
        "/callbacks",
        lambda raw: (list(map(read_callback, children(raw, "CallbackList"))), number(raw, "TotalCount")),
        params=given(params),
    )


def get_callbacks(ids: Sequence[str]) -> Call[list[Callback]]:
    """Return callbacks by their ids or those of their jobs; unknown ones are left out."""
    return Call(
        "GET", f"/callbacks/{joined(ids)}", lambda raw: list(map(read_callback, children(raw, "Callback")))
    )


def send_callbacks(ids: Sequence[str]) -> Call[int]:
    """Send callbacks now, whatever their state, all or none, and return how many."""
    return Call("POST", f"/callbacks/{joined(ids)}/send", lambda raw: number(raw, "ReplayedCount"))


def send_callbacks_where(
    *, states: Iterable[str] = (), host: str = "", since: datetime | None = None, dry_run: bool = False
) -> Call[Changed]:
    """Send all callbacks that match now; dead letters unless states are given."""
    params = {
        "states": ",".join(states),
        "host": host,
        "startTime": wire_time(since),
        "dryRun": "true" if dry_run else "",
    }
    return Call("POST", "/bulk/callbacks/send", changed, params=given(params))
