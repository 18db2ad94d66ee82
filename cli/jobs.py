"""``stemline jobs``, ``job``, ``cancel`` and ``retry``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import click

from stemline.cli.connection import Connection, connected
from stemline.cli.describe import describe_job, percent, took
from stemline.cli.exits import FAILED, NOT_FOUND, CommandFailed
from stemline.cli.output import (
    Column,
    as_json,
    local_time,
    print_json,
    print_json_line,
    print_table,
    screen,
    span,
    table,
)
from stemline.cli.times import TIME

if TYPE_CHECKING:
    from stemline.client import Client, Job

_F = TypeVar("_F", bound=Callable[..., Any])
STATES = ("Submitted", "Pause", "Running", "Success", "Failed", "Cancel")
WAITING = ("Submitted", "Pause", "Running")
_COLUMNS = (
    Column("Job", is_id=True),
    Column("State"),
    Column("%", right=True, least_width=60),
    Column("Created", least_width=80),
    Column("Took", right=True, least_width=100),
    Column("Source", least_width=70),
    Column("Message", least_width=140),
)
_INTERVAL_S = 1.0

_state = click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(STATES, case_sensitive=False),
    help="Only jobs in this state; may be repeated.",
)
_queue = click.option("--queue", default="", help="Only jobs of this queue: its id or name.")
_since = click.option("--since", type=TIME, help="Only jobs created since then: 90m, 2h, 3d or a time.")
_until = click.option("--until", type=TIME, help="Only jobs created until then.")
_source = click.option("--source", default="", help="Only jobs with exactly this source key.")


@click.command()
@_state
@_queue
@_source
@_since
@_until
@click.option("--limit", default=50, show_default=True, type=click.IntRange(0), help="Most jobs; 0: all.")
@click.option("--watch", is_flag=True, help="Show the list again every second, until Ctrl-C.")
@as_json
@connected
def jobs(
    connection: Connection,
    *,
    states: Sequence[str],
    queue: str,
    source: str,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    watch: bool,
    as_json: bool,
) -> None:
    """List jobs, latest first."""
    with connection.open() as client:
        filters = selection(client, states=states, queue=queue, source=source, since=since, until=until)

        def listed() -> Iterator[Job]:
            found = client.list(**filters, size=min(limit or 100, 100))
            return islice(found, limit) if limit else found

        if watch:
            _watch(lambda: table(_COLUMNS, map(_row, listed()), screen().width))
        elif as_json:
            for job in listed():
                print_json_line(job.raw)
        else:
            print_table(_COLUMNS, map(_row, listed()), empty="No jobs.")


@click.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option("--watch", is_flag=True, help="Show it again every second, until all of them have ended.")
@as_json
@connected
def job(connection: Connection, *, ids: Sequence[str], watch: bool, as_json: bool) -> None:
    """Show jobs: times, stages, attempts, stems, callbacks.

    The exit status is 1 if one of them failed or was cancelled, 5 if there is no such job.
    """
    with connection.open() as client:
        if watch and not as_json:
            _watch(lambda: _described(client, ids), done=lambda: _all_ended(client, ids))
        elif watch:
            for each in ids:
                client.wait(each, check=False)
        found = _found(client, ids)
        if watch and not as_json:
            pass  # all of it is on the screen
        elif as_json:
            callbacks = {each.job_id: each.raw for each in client.get_callbacks(*ids)}
            documents = [{**each.raw, "Callback": callbacks.get(each.id)} for each in found]
            print_json(documents[0] if len(documents) == 1 else documents)
        else:
            for line in _lines(client, found):
                screen().print(line, markup=False)
        if any(each.has_ended and not each.succeeded for each in found):
            raise SystemExit(FAILED)


def _chosen(possible: Sequence[str]) -> Callable[[_F], _F]:
    """Add the filters of a command that changes many jobs, which must be in certain states."""
    options = (
        click.option(
            "--state",
            "states",
            multiple=True,
            type=click.Choice(possible, case_sensitive=False),
            help="Only jobs in this state; may be repeated.",
        ),
        _queue,
        click.option("--prefix", default="", help="Only jobs whose source keys begin so."),
        click.option("--level", type=click.IntRange(0, 2), help="Only jobs of this level."),
        _since,
        _until,
        click.option("--all", "everything", is_flag=True, help="All such jobs of the bucket."),
        click.option("--dry-run", is_flag=True, help="Only say how many jobs it would be."),
        click.option("--yes", is_flag=True, help="Do not ask before many jobs are changed."),
        as_json,
    )

    def add(command: _F) -> _F:
        for option in reversed(options):
            command = option(command)
        return command

    return add


@click.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@_chosen(WAITING)
@connected
def cancel(connection: Connection, *, ids: Sequence[str], **options: Any) -> None:
    """Cancel jobs, by their IDs, by filters or --all.

    Only jobs that have not ended are cancelled.
    """
    with connection.open() as client:
        _change(client, "cancelled", ids, client.cancel, client.cancel_where, **options)


@click.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@_chosen(("Failed", "Cancel"))
@connected
def retry(connection: Connection, *, ids: Sequence[str], **options: Any) -> None:
    """Submit failed or cancelled jobs again, as new jobs.

    The new jobs have the parameters, queue and callback of the old ones. Select these by their IDs, by
    filters, which leave out those that were retried before, or with --all.
    """
    with connection.open() as client:
        _change(client, "retried", ids, client.retry, client.retry_where, **options)


def _change(
    client: Client,
    what: str,
    ids: Sequence[str],
    change: Callable[[str], Any],
    change_where: Callable[..., int],
    *,
    everything: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    **filters: Any,
) -> None:
    """Change jobs that are named one by one, or all of a filter after a question; then say what was done."""
    chosen = {name: value for name, value in filters.items() if value or value == 0}
    if sum((bool(ids), bool(chosen), everything)) != 1:
        raise click.UsageError("give either IDs, or filters, or --all")
    if ids:
        done, failed = ({}, {}) if dry_run else _one_by_one(change, ids)
        if as_json:
            print_json({what: done, "failed": failed})
        else:
            for job_id in ids if dry_run else done:
                click.echo(f"{job_id}\t{'would be ' if dry_run else ''}{done.get(job_id) or what}")
        _complain(failed)
        return
    chosen = selection(client, **chosen)
    count = change_where(dry_run=True, **chosen)
    if not dry_run and count:
        if count > 1 and not yes:
            click.confirm(f"{count} jobs will be {what}. Go on?", abort=True, err=True)
        count = change_where(**chosen)
    if as_json:
        print_json({"count": count, "dry_run": dry_run})
    else:
        click.echo(f"{count} jobs {'would be ' if dry_run else ''}{what}")


def selection(client: Client, *, queue: str = "", **filters: Any) -> dict[str, Any]:
    """Return the filters of a list, with the id of a queue that may be given by its name."""
    given = {name: value for name, value in filters.items() if value or value == 0}
    return {**given, "queue": client.queue(queue).id} if queue else given


def _row(job: Job) -> tuple[str, ...]:
    message = f"{job.code}: {job.message}" if job.state == "Failed" else job.message
    return (job.id, job.state, percent(job), local_time(job.created), span(took(job)), job.source, message)


def _found(client: Client, ids: Sequence[str]) -> list[Job]:
    jobs = client.get_many(ids)
    if missing := [each for each in ids if each not in jobs]:
        hint = f"`stemline jobs` lists those of {client.target.bucket}"
        raise CommandFailed(f"there is no job {', '.join(missing)}", hint=hint, status=NOT_FOUND)
    return [jobs[each] for each in ids]


def _all_ended(client: Client, ids: Sequence[str]) -> bool:
    return all(each.has_ended for each in _found(client, ids))


def _described(client: Client, ids: Sequence[str]) -> Any:
    from rich.text import Text

    return Text("\n".join(_lines(client, _found(client, ids))))


def _lines(client: Client, found: Iterable[Job]) -> Iterator[str]:
    """Yield what is shown of jobs, line by line."""
    for job in found:
        yield from describe_job(job, client.execution(job.id), client.get_callbacks(job.id))


def _watch(draw: Callable[[], Any], done: Callable[[], bool] = lambda: False) -> None:
    """Draw again and again, until it is done or Ctrl-C is pressed."""
    from rich.live import Live

    with Live(console=screen(), auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            is_last = done()
            live.update(draw(), refresh=True)
            if is_last:
                return
            time.sleep(_INTERVAL_S)


def _one_by_one(change: Callable[[str], Any], ids: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Change some jobs; return the new job of each, where there is one, and why others were not changed."""
    from stemline.client import ApiError

    done, failed = {}, {}
    for each in ids:
        try:
            made = change(each)
        except ApiError as error:
            if error.status in {403, 503}:
                raise
            failed[each] = error.message
        else:
            done[each] = made[0].id if made else ""
    return done, failed


def _complain(failed: dict[str, str]) -> None:
    """End the command with an error if something could not be done to some jobs."""
    for each, why in failed.items():
        click.echo(f"{each}: {why}", err=True)
    if failed:
        raise SystemExit(FAILED)
