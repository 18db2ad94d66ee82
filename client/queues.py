"""Queues: what decides when jobs start, and how many of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from stemline.client.answers import Raw, child, children, number, text, time_of
from stemline.client.call import PAGE, Call, one, segment


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue of the bucket."""

    id: str
    name: str
    state: str
    """``Active`` or ``Paused``."""
    max_size: int
    """Waiting jobs that it may hold."""
    max_concurrent: int
    """Jobs that may run at the same time."""
    weight: int = 100
    """Turns that it gets in proportion to other queues."""
    created: datetime | None = None
    updated: datetime | None = None
    raw: Raw = field(default_factory=dict, repr=False)


def read_queue(raw: Raw) -> Queue:
    """Return a queue of an answer."""
    return Queue(
        id=text(raw, "QueueId"),
        name=text(raw, "Name"),
        state=text(raw, "State"),
        max_size=number(raw, "MaxSize"),
        max_concurrent=number(raw, "MaxConcurrent"),
        weight=number(raw, "Weight") or 100,
        created=time_of(raw, "CreateTime"),
        updated=time_of(raw, "UpdateTime"),
        raw=raw,
    )


def queues() -> Call[list[Queue]]:
    """Return the queues of the bucket."""
    return Call(
        "GET",
        "/queue",
        lambda raw: list(map(read_queue, children(raw, "QueueList"))),
        params={"pageSize": str(PAGE)},
    )


def chosen(found: Sequence[Queue], name: str) -> Queue:
    """Return the queue of an id or a name; the bucket's only one if none is given.

    Raises:
        NotFound: There is no such queue.
    """
    named = {key: queue for queue in found for key in (queue.name, queue.id)}
    return found[0] if found and not name else one(named, name, "queue")


def update_queue(queue: Queue, changes: Mapping[str, Any]) -> Call[Queue]:
    """Change a queue; what is not named stays."""
    fields = {"Name": queue.name, "QueueID": queue.id, **changes}
    path = f"/queue/{segment(queue.id)}"
    return Call("PUT", path, lambda raw: read_queue(child(raw, "Queue")), body=fields)
