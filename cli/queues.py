"""``stemline queues``, ``pause`` and ``resume``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from stemline.cli.connection import Connection, connected
from stemline.cli.examples import command_with
from stemline.cli.output import as_json, print_objects
from stemline.cli.tables import Column
from stemline.cli.words import WORD

if TYPE_CHECKING:
    from stemline.client import Queue

_COLUMNS = (
    Column("Queue", is_id=True),
    Column("Name", min_width=60),
    Column("State"),
    Column("Most running", right=True, min_width=70),
    Column("Most waiting", right=True, min_width=80),
)


@command_with("stemline queues")
@as_json
@connected
def queues(connection: Connection, *, as_json: bool) -> None:
    """List the queues, their state and their limits."""
    with connection.open() as client:
        empty = "No queue yet; the first job makes one."
        print_objects(client.queues(), _COLUMNS, _row, as_json=as_json, empty=empty)


@command_with("stemline pause", "stemline pause queue-speech-1")
@click.argument("queue", required=False, type=WORD, default=None)
@as_json
@connected
def pause(connection: Connection, *, queue: str | None, as_json: bool) -> None:
    """Stop a queue from starting jobs; running ones go on.

    QUEUE is the id or name of a queue, by default the bucket's first.
    """
    with connection.open() as client:
        print_objects([client.pause(queue or "")], _COLUMNS, _row, as_json=as_json)


@command_with("stemline resume", "stemline resume queue-speech-1 --concurrent 20")
@click.argument("queue", required=False, type=WORD, default=None)
@click.option("--size", type=click.IntRange(1), help="New limit of waiting jobs.")
@click.option("--concurrent", type=click.IntRange(1), help="New limit of jobs that run at once.")
@click.option("--weight", type=click.IntRange(1, 1000), help="Turns relative to other queues; 100 is usual.")
@as_json
@connected
def resume(
    connection: Connection,
    *,
    queue: str | None,
    size: int | None,
    concurrent: int | None,
    weight: int | None,
    as_json: bool,
) -> None:
    """Let a queue start jobs; change its limits.

    QUEUE is the id or name of a queue, by default the bucket's first.
    """
    limits = {"MaxSize": size, "MaxConcurrent": concurrent, "Weight": weight}
    changes = {name: str(value) for name, value in limits.items() if value is not None}
    with connection.open() as client:
        resumed = client.update_queue(queue or "", State="Active", **changes)
        print_objects([resumed], _COLUMNS, _row, as_json=as_json)


def _row(queue: Queue) -> tuple[str, ...]:
    return (queue.id, queue.name, queue.state, str(queue.max_concurrent), str(queue.max_size))
