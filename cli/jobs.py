"""``stemline jobs`` and ``job``."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from stemline.cli.connection import Connection, connected
from stemline.cli.describe import describe_job, percent, put_off, took
from stemline.cli.examples import command_with
from stemline.cli.exits import CommandFailed
from stemline.cli.output import as_json, local_time, print_json, print_table, screen, span, table
from stemline.cli.sources import key_named
from stemline.cli.statuses import FAILED, NOT_FOUND
from stemline.cli.tables import Column
from stemline.cli.times import TIME
from stemline.cli.words import COUNT, WORD

if TYPE_CHECKING:
    from stemline.client import Client, Job

STATES = ("Submitted", "Pause", "Running", "Success", "Failed", "Cancel")
_COLUMNS = (
    Column("Job", is_id=True),
    Column("State"),
    Column("%", right=True, min_width=60, is_extra=True),
    Column("Created", min_width=90, is_extra=True),
    Column("Took", right=True, min_width=110, is_extra=True),
    Column("Source", min_width=70, is_path=True),
    Column("Message", min_width=140),
    Column("Model", min_width=160, is_extra=True),
)
_INTERVAL_S = 1.0

state_option = click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(STATES, case_sensitive=False),
    help="Only jobs in this state; may be repeated.",
)
queue_option = click.option("--queue", type=WORD, help="Only jobs of this queue: its id or name.")
since_option = click.option("--since", type=TIME, help="Only jobs created since then: 90m, 2h, 3d or a time.")
until_option = click.option("--until", type=TIME, help="Only jobs created until then.")
_batch = click.option("--batch", type=WORD, help="Only jobs of this batch.")
_source = click.option("--source", type=WORD, help="Only jobs with exactly this source key.")


@command_with("stemline jobs --state failed --since 2h", "stemline jobs --watch")
@state_option
@queue_option
@_batch
@_source
@since_option
@until_option
@click.option(
    "--limit",
    default=50,
    show_default=True,
    type=COUNT,
    help="Most jobs to list; 0 for all.",
)
@click.option(
    "--watch",
    is_flag=True,
    help="Show the list again every second, until Ctrl-C; with --json each job again when it has changed.",
)
@as_json
@connected
def jobs(
    connection: Connection,
    *,
    states: Sequence[str],
    queue: str | None,
    batch: str | None,
    source: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    watch: bool,
    as_json: bool,
) -> None:
    """List jobs, newest first."""
    with connection.open() as client:
        filters = selection(
            client, states=states, queue=queue, batch=batch, source=source, since=since, until=until
        )

        def listed() -> Iterator[Job]:
            found = client.list(**filters, size=min(limit or 100, 100))
            return islice(found, limit) if limit else found

        if as_json:
            _print_changes(listed, lambda job: print_json(job.raw), until=lambda _: not watch)
        elif watch and sys.stdout.isatty():
            _watch(lambda: table(_COLUMNS, map(_row, listed()), screen().width))
        elif watch:
            _print_changes(listed, lambda job: print_table(_COLUMNS, [_row(job)]), until=lambda _: False)
        else:
            print_table(_COLUMNS, map(_row, listed()), empty="No jobs.")


@command_with("stemline job ID --watch", "stemline job ID --json")
@click.argument("ids", nargs=-1, required=True, type=WORD, metavar="ID...")
@click.option("--watch", is_flag=True, help="Show it again every second, until all of them have ended.")
@as_json
@connected
def job(connection: Connection, *, ids: Sequence[str], watch: bool, as_json: bool) -> None:
    """Show jobs: times, stages, attempts, stems, callbacks.

    The exit status is 1 if one of them failed or was cancelled, 5 if there is no such job.
    """
    with connection.open() as client:
        show = partial(_print_document if as_json else _print_described, client)
        if watch and not as_json and sys.stdout.isatty():
            found = _watch_jobs(client, ids)
        else:
            found = _print_changes(
                lambda: _found(client, ids),
                show,
                until=lambda jobs: not watch or all(job.has_ended for job in jobs),
            )
        if any(each.has_ended and not each.succeeded for each in found):
            raise SystemExit(FAILED)


def selection(client: Client, *, queue: str | None = None, **filters: Any) -> dict[str, Any]:
    """Return the filters of a list, with the id of a queue that may be given by its name.

    Raises:
        NotFound: There is no such queue or batch.
        click.UsageError: No time is between the two that are given.
    """
    given = {name: value for name, value in filters.items() if value or value == 0}
    since, until = given.get("since"), given.get("until")
    if since and until and since > until:
        raise click.UsageError("--since is later than --until")
    for name in {"source", "prefix"} & set(given):
        given[name] = key_named(client, given[name])
    if "batch" in given:
        client.batch(given["batch"])  # of an unknown one there would be no jobs, without a word
    return {**given, "queue": client.queue(queue).id} if queue else given


def _row(job: Job) -> tuple[str, ...]:
    message = f"{job.code}: {job.message}" if job.state == "Failed" else job.message
    if not message:
        message = job.wait_reason
    if not message and put_off(job):
        message = f"not before {local_time(job.not_before)}"
    return (
        job.id,
        job.state,
        percent(job),
        local_time(job.created),
        span(took(job), whole=True),
        job.source,
        message,
        job.model,
    )


def _found(client: Client, ids: Sequence[str]) -> list[Job]:
    jobs = client.get_many(ids)
    if missing := [each for each in ids if each not in jobs]:
        hint = f"`stemline jobs` lists those of {client.target.bucket}"
        raise CommandFailed(f"there is no job {', '.join(missing)}", hint=hint, status=NOT_FOUND)
    return [jobs[each] for each in dict.fromkeys(ids)]


def _lines(client: Client, found: Iterable[Job]) -> Iterator[str]:
    """Yield what is shown of jobs, line by line."""
    for job in found:
        yield from describe_job(job, client.execution(job.id), client.get_callbacks(job.id))


def _print_document(client: Client, job: Job) -> None:
    callbacks = client.get_callbacks(job.id)
    print_json({**job.raw, "Callback": callbacks[0].raw if callbacks else None})


def _print_described(client: Client, job: Job) -> None:
    for line in _lines(client, [job]):
        screen().print(line, markup=False)


def _print_changes(
    look: Callable[[], Iterable[Job]],
    show: Callable[[Job], None],
    until: Callable[[Sequence[Job]], bool],
) -> list[Job]:
    """Print jobs, again where they have changed, and return them as they were last."""
    shown: dict[str, tuple[object, ...]] = {}
    while True:
        found = []
        for job in look():
            found.append(job)
            now = (job.state, job.stage, job.progress, job.code, job.retried_by)
            if shown.get(job.id) != now:
                show(job)
            shown[job.id] = now
        if until(found):
            return found
        sys.stdout.flush()
        time.sleep(_INTERVAL_S)


def _watch_jobs(client: Client, ids: Sequence[str]) -> list[Job]:
    """Draw jobs again and again until all of them have ended."""
    from rich.text import Text

    found: list[Job] = []

    def draw() -> Any:
        found[:] = _found(client, ids)
        return Text("\n".join(_lines(client, found)))

    _watch(draw, done=lambda: all(job.has_ended for job in found))
    return found


def _watch(draw: Callable[[], Any], done: Callable[[], bool] = lambda: False) -> None:
    """Draw again and again, until it is done or Ctrl-C is pressed."""
    from stemline.cli.bars import Redrawn

    with Redrawn(screen()) as live:
        while True:
            live.update(draw(), refresh=True)
            if done():
                return
            time.sleep(_INTERVAL_S)
