"""``stemline batches``: many jobs that are submitted, watched and stopped as one."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import IO, TYPE_CHECKING, Any

import click

from stemline.cli.connection import Connection, connected
from stemline.cli.ended_bar import ended_bar
from stemline.cli.examples import examples
from stemline.cli.group import Group
from stemline.cli.output import (
    as_json,
    counted,
    hint,
    is_live,
    local_time,
    print_objects,
    print_result,
    say,
)
from stemline.cli.separation_options import parameters_of, separation_options
from stemline.cli.sources import keys_of_list, object_named
from stemline.cli.statuses import FAILED
from stemline.cli.tables import Column
from stemline.cli.templates import named_template
from stemline.cli.words import COUNT, INPUT_FILE, WORD

if TYPE_CHECKING:
    from stemline.client import Batch, Client

_INTERVAL_S = 1.0
_ROW = re.compile(r"Row (\d+): ")
_COLUMNS = (
    Column("Batch", is_id=True),
    Column("Name", min_width=100),
    Column("State"),
    Column("%", right=True),
    Column("Rows", right=True),
    Column("Waiting", right=True, min_width=100),
    Column("Running", right=True, min_width=110),
    Column("Success", right=True, min_width=70),
    Column("Failed", right=True, min_width=60),
    Column("Cancelled", right=True, min_width=120),
    Column("Created", min_width=140, is_extra=True),
)

_watch = click.option("--watch", is_flag=True, help="Show it again when it has changed, until it has ended.")


@click.group(name="batches", cls=Group)
def batches() -> None:
    """Submit, watch and stop up to 100,000 jobs as one."""


@batches.command(name="list", **examples("stemline batches list --limit 10"))
@click.option(
    "--limit",
    default=50,
    show_default=True,
    type=COUNT,
    help="Most batches to list; 0 for all.",
)
@as_json
@connected
def list_(connection: Connection, *, limit: int, as_json: bool) -> None:
    """List batches, newest first."""
    with connection.open() as client:
        found = islice(client.batches(), limit or None)
        print_objects(found, _COLUMNS, _row, as_json=as_json, empty="No batches.")


@batches.command(**examples("stemline batches show ID --watch"))
@click.argument("batch_id", type=WORD, metavar="ID")
@_watch
@as_json
@connected
def show(connection: Connection, *, batch_id: str, watch: bool, as_json: bool) -> None:
    """Show a batch and how many of its rows wait, run and have ended.

    The exit status is 1 once a row has failed. `stemline jobs --batch ID` lists the jobs.
    """
    with connection.open() as client:
        batch = client.batch(batch_id)
        _follow(client, batch, watch=watch, as_json=as_json)


@batches.command(
    **examples(
        "stemline batches create in/a.mp3 in/b.mp3 --name album --codec mp3 --watch",
        "stemline batches create --list keys.txt --callback https://example.com/done",
    )
)
@click.argument("sources", nargs=-1, type=WORD, metavar="[KEY]...")
@click.option(
    "--list",
    "lines",
    type=INPUT_FILE,
    help="File with a key on each line, as `submit` reads it; - for the standard input.",
)
@click.option("--manifest", type=WORD, help="Key of an object of the bucket whose lines are the rows.")
@click.option("--name", default="", help="A name for people.")
@separation_options
@click.option("--template", type=WORD, help="Id or name of a template, instead of the options about stems.")
@click.option("--level", type=click.IntRange(0, 2), default=0, help="A higher level is served first.")
@click.option("--queue", type=WORD, help="Id or name of a queue; the bucket's own by default.")
@click.option("--callback", default="", metavar="URL", help="Where the end of the batch is announced.")
@click.option(
    "--idempotency-key", type=WORD, help="The same key and rows make one batch, however often sent."
)
@_watch
@as_json
@connected
def create(
    connection: Connection,
    *,
    sources: Sequence[str],
    lines: IO[bytes] | None,
    manifest: str | None,
    name: str,
    template: str | None,
    level: int,
    queue: str | None,
    callback: str,
    idempotency_key: str | None,
    watch: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Submit objects of the bucket, by their KEYs, as one batch.

    A KEY may be written as s3://BUCKET/KEY. The id of the batch is printed; the stems are at stems/<job id>/
    in the bucket, and `stemline fetch --batch ID` fetches them. To separate files of this machine, use
    `stemline submit`.
    """
    if sum((bool(sources), lines is not None, manifest is not None)) != 1:
        raise click.UsageError("give either KEYs, or --list, or --manifest")
    parameters = parameters_of(options, template=template)
    with connection.open(budget_s=60) as client:
        rows = {number: object_named(client, each) for number, each in enumerate(sources, 1)}
        if lines is not None:
            rows = keys_of_list(client, lines.read(), lines.name)
            if not rows:
                raise click.UsageError("the list has no keys")
        with _naming_lines(lines.name if lines is not None else "", list(rows)):
            batch = client.create_batch(
                rows.values(),
                name=name,
                manifest=object_named(client, manifest) if manifest else "",
                idempotency_key=idempotency_key or "",
                template=named_template(client, template).id if template else "",
                queue=client.queue(queue).id if queue else "",
                level=level,
                callback=callback,
                **parameters,
            )
        if watch and not as_json:
            say(f"batch {batch.id}", err=True)  # it goes on, also after Ctrl-C
        if watch or as_json:
            _follow(client, batch, watch=watch, as_json=as_json)
        else:
            say(batch.id)


@batches.command(**examples("stemline batches pause ID"))
@click.argument("batch_id", type=WORD, metavar="ID")
@as_json
@connected
def pause(connection: Connection, *, batch_id: str, as_json: bool) -> None:
    """Let no job of a batch start; running ones go on."""
    with connection.open() as client:
        print_objects([client.pause_batch(batch_id)], _COLUMNS, _row, as_json=as_json)


@batches.command(**examples("stemline batches resume ID"))
@click.argument("batch_id", type=WORD, metavar="ID")
@as_json
@connected
def resume(connection: Connection, *, batch_id: str, as_json: bool) -> None:
    """Let the jobs of a paused batch start again."""
    with connection.open() as client:
        print_objects([client.resume_batch(batch_id)], _COLUMNS, _row, as_json=as_json)


@batches.command(**examples("stemline batches cancel ID"))
@click.argument("batch_id", type=WORD, metavar="ID")
@as_json
@connected
def cancel(connection: Connection, *, batch_id: str, as_json: bool) -> None:
    """Cancel every row of a batch that has not ended."""
    with connection.open() as client:
        print_objects([client.cancel_batch(batch_id)], _COLUMNS, _row, as_json=as_json)


@batches.command(**examples("stemline batches retry ID"))
@click.argument("batch_id", type=WORD, metavar="ID")
@as_json
@connected
def retry(connection: Connection, *, batch_id: str, as_json: bool) -> None:
    """Submit the failed rows of a batch again."""
    with connection.open() as client:
        count = client.retry_batch(batch_id)
    print_result(f"{counted(count, 'row')} retried", as_json=as_json, count=count)


@contextmanager
def _naming_lines(name: str, numbers: Sequence[int]) -> Iterator[None]:
    """Name the line of a list where the service names the row that was made of it.

    Args:
        name: Name of the list; empty if the rows are of none.
        numbers: Numbers of the lines, by the rows.
    """
    from stemline.client import ApiError

    try:
        yield
    except ApiError as error:
        row = _ROW.match(error.message)
        if not name or row is None or not 0 < int(row[1]) <= len(numbers):
            raise
        message = f"line {numbers[int(row[1]) - 1]} of {name}: {error.message[row.end() :]}"
        raise type(error)(error.code, message, status=error.status, request_id=error.request_id) from error


def _follow(client: Client, batch: Batch, *, watch: bool, as_json: bool) -> None:
    """Print a batch, and again when it has changed until it has ended; fail if one of its rows did."""
    if watch and not as_json and is_live() and sys.stdout.isatty():
        batch = _draw(client, batch)
    else:
        show = partial(print_objects, columns=_COLUMNS, row=_row, as_json=as_json)
        batch = _print_changes(client, batch, watch=watch, show=lambda each: show([each]))
    if batch.failed:
        if not as_json:
            hint(
                f"`stemline jobs --batch {batch.id} --state Failed` says why, "
                f"`stemline batches retry {batch.id}` tries these again"
            )
        raise SystemExit(FAILED)


def _print_changes(client: Client, batch: Batch, *, watch: bool, show: Callable[[Batch], None]) -> Batch:
    shown = None
    while True:
        if (now := _row(batch)) != shown:
            show(batch)
            sys.stdout.flush()
        shown = now
        if not watch or batch.has_ended:
            return batch
        time.sleep(_INTERVAL_S)
        batch = client.batch(batch.id)


def _draw(client: Client, batch: Batch) -> Batch:
    """Draw a bar until a batch has ended, then its counts."""
    with ended_bar(batch.name or batch.id, batch.rows, what="rows") as show:
        while not batch.has_ended:
            show(batch.succeeded + batch.failed + batch.cancelled)
            time.sleep(_INTERVAL_S)
            batch = client.batch(batch.id)
    print_objects([batch], _COLUMNS, _row, as_json=False)
    return batch


def _row(batch: Batch) -> tuple[str, ...]:
    counts = (batch.rows, batch.waiting, batch.running, batch.succeeded, batch.failed, batch.cancelled)
    return (
        batch.id,
        batch.name,
        batch.state,
        str(batch.progress),
        *map(str, counts),
        local_time(batch.created),
    )
