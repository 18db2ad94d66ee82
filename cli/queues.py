"""``stemline queues``, ``pause`` and ``resume``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from stemline.cli.connection import Connection, connected
from stemline.cli.output import Column, as_json, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stemline.client import Queue

_COLUMNS = (
    Column("Queue", is_id=True),
    Column("Name", least_width=60),
    Column("State"),
    Column("Runs at once", right=True, least_width=70),
    Column("Holds", right=True, least_width=80),
)


@click.command()
@as_json
@connected
def queues(connection: Connection, *, as_json: bool) -> None:
    """List the queues, their state and their limits."""
    with connection.open() as client:
        _print(client.queues(), as_json=as_json)


@click.command()
@click.argument("queue", required=False, default="")
@as_json
@connected
def pause(connection: Connection, *, queue: str, as_json: bool) -> None:
    """Stop a queue from starting jobs; running ones go on.

    QUEUE is the id or name of a queue, by default the bucket's first.
    """
    with connection.open() as client:
        _print([client.pause(queue)], as_json=as_json)


@click.command()
@click.argument("queue", required=False, default="")
@click.option("--size", type=click.IntRange(1), help="Waiting jobs that it may hold from now on.")
@click.option("--concurrent", type=click.IntRange(1), help="Jobs that may run at once from now on.")
@click.option("--weight", type=click.IntRange(1, 1000), help="Turns in proportion to other queues (100).")
@as_json
@connected
def resume(
    connection: Connection,
    *,
    queue: str,
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
        _print([client.update_queue(queue, State="Active", **changes)], as_json=as_json)


def _print(found: Sequence[Queue], *, as_json: bool) -> None:
    if as_json:
        print_json([each.raw for each in found])
        return
    rows = [(q.id, q.name, q.state, str(q.max_concurrent), str(q.max_size)) for q in found]
    print_table(_COLUMNS, rows, empty="No queue yet; the first job makes one.")
