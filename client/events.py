"""Events: what changes in a bucket or with one job, from a stream that is taken up where it broke."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from stemline.client.answers import Raw, number, text, time_of
from stemline.client.call import Call, segment
from stemline.client.errors import ConnectionFailed
from stemline.client.job import ENDED

AGAIN_S: Final = 1.0
"""Pause before a stream that the service ended is asked for again."""
_MAX_EVENT_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Event:
    """One change."""

    kind: str
    """``job``, ``batch``, ``queue`` or ``position``; ``open`` is the first of a bucket's, and ``reset`` says
    that some were missed."""
    id: str
    """After which a later stream may begin; empty for ``position``."""
    subject: str = ""
    """Id of the job, the batch or the queue."""
    state: str = ""
    stage: str = ""
    progress: int = 0
    """Percent."""
    code: str = ""
    """Why a job failed or was cancelled; ``Success`` in every state where nothing went wrong."""
    position: int | None = None
    """Place of a waiting job in its queue, from 1."""
    at: datetime | None = None
    raw: Raw = field(default_factory=dict, repr=False)


def listen(job_id: str, last: str) -> Call[None]:
    """Begin a stream of events.

    Args:
        job_id: Id of the job whose events these are; all of the bucket if empty.
        last: Id of the last event that is known; empty to begin now.
    """
    path = f"/jobs/{segment(job_id)}/events" if job_id else "/events"
    return Call("GET", path, lambda _: None, headers={"Last-Event-ID": last} if last else {})


class EventReader:
    """Puts events together from the parts of streams.

    Attributes:
        last: Id of the event that was read last.
        has_ended: Whether the job whose events these are has ended.
    """

    def __init__(self, job_id: str = "", last: str = "") -> None:
        """Begin after an event.

        Args:
            job_id: Id of the job whose events these are; empty for those of a bucket.
            last: Id of the last event that is known.
        """
        self.last = last
        self.has_ended = False
        self._job_id = job_id
        self._rest = b""
        self._fields: dict[str, str] = {}

    def call(self) -> Call[None]:
        """Return the request for what follows; what was read of an unfinished event is forgotten."""
        self._rest, self._fields = b"", {}
        return listen(self._job_id, self.last)

    def feed(self, data: bytes) -> list[Event]:
        """Take a part of a stream, and return the events that are complete with it.

        Raises:
            ConnectionFailed: It is not a stream of events.
        """
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _MAX_EVENT_BYTES:
            raise ConnectionFailed(f"an event has more than {_MAX_EVENT_BYTES} bytes")
        found = [self._line(line.decode(errors="replace").rstrip("\r")) for line in lines]
        return [event for event in found if event is not None]

    def _line(self, line: str) -> Event | None:
        """Take a line, and return the event that ends with it."""
        name, _, value = line.partition(":")
        if line:
            if name:  # else it is a comment: the heartbeat
                self._fields[name] = value.removeprefix(" ")
            return None
        fields, self._fields = self._fields, {}
        if "data" not in fields:
            return None
        event = _read(fields)
        self.last = event.id or self.last
        self.has_ended = bool(self._job_id) and event.kind == "job" and event.state in ENDED
        return event


def _read(fields: dict[str, str]) -> Event:
    try:
        raw = json.loads(fields["data"])
    except (ValueError, RecursionError):
        raw = None
    if not isinstance(raw, dict):
        raise ConnectionFailed(f"this is not an event: {fields['data'][:100]}")
    subject = next((text(raw, name) for name in ("JobId", "BatchId", "QueueId") if name in raw), "")
    return Event(
        kind=fields.get("event", "message"),
        id=fields.get("id", ""),
        subject=subject,
        state=text(raw, "State"),
        stage=text(raw, "Stage"),
        progress=number(raw, "Progress"),
        code=text(raw, "Code"),
        position=number(raw, "Position") or None,
        at=time_of(raw, "Time"),
        raw=raw,
    )
