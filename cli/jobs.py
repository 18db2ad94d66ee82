"""``stemline jobs``, ``job``, ``cancel`` and ``retry``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

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
    from stemline.client import Client, Execution, Job

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


@click.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@_state
@_queue
@_since
@_until
@click.option("--dry-run", is_flag=True, help="Only print what would be cancelled.")
@click.option("--yes", is_flag=True, help="Do not ask before many jobs are cancelled.")
@as_json
@connected
def cancel(
    connection: Connection,
    *,
    ids: Sequence[str],
    states: Sequence[str],
    queue: str,
    since: datetime | None,
    until: datetime | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Cancel jobs, by their IDs or by filters.

    Filters select jobs that have not ended: all of those in a queue with --queue, in a state with --state.
    """
    with connection.open() as client:
        if bool(ids) == bool(states or queue or since or until):
            raise click.UsageError("give either IDs, or filters: --queue, --state, --since, --until")
        chosen = list(ids)
        if not ids:
            wanted = [each for each in states or WAITING if each in WAITING]
            if not wanted:
                raise click.UsageError(
                    f"jobs that have ended stay as they are; --state is {', '.join(WAITING)}"
                )
            filters = selection(client, states=wanted, queue=queue, since=since, until=until)
            chosen = [each.id for each in client.list(**filters)]
            if not (dry_run or yes) and len(chosen) > 1:
                click.confirm(f"Cancel {len(chosen)} jobs?", abort=True, err=True)
        done, failed = (chosen, {}) if dry_run else _one_by_one(client.cancel, chosen)
        _report("would be cancelled" if dry_run else "cancelled", done, failed, as_json=as_json)


@click.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@as_json
@connected
def retry(connection: Connection, *, ids: Sequence[str], as_json: bool) -> None:
    """Submit jobs again, as new ones with the same parameters."""
    with connection.open() as client:
        made: dict[str, str] = {}

        def again(job_id: str) -> None:
            made[job_id] = client.retry(job_id).id

        _, failed = _one_by_one(again, ids)
        if as_json:
            print_json({"retried": made, "failed": failed})
        else:
            for old, new in made.items():
                click.echo(f"{old}\t{new}")
        _complain(failed)


def selection(client: Client, *, queue: str = "", **filters: Any) -> dict[str, Any]:
    """Return the filters of a list, with the id of a queue that may be given by its name."""
    given = {name: value for name, value in filters.items() if value}
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
        yield from describe_job(job, _execution(client, job), client.get_callbacks(job.id))


def _execution(client: Client, job: Job) -> Execution:
    """Return where a job runs; the service does not say it where its bucket is not configured any more."""
    from stemline.client import ApiError, Execution

    try:
        return client.execution(job.id)
    except ApiError:
        return Execution(0, "", "")


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


def _one_by_one(action: Callable[[str], object], ids: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Do something to each of some jobs; return those that it was done to, and why not to the others."""
    from stemline.client import ApiError

    done, failed = [], {}
    for each in ids:
        try:
            action(each)
        except ApiError as error:
            if error.status in {403, 503}:
                raise
            failed[each] = error.message
        else:
            done.append(each)
    return done, failed


def _report(what: str, done: Sequence[str], failed: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        print_json({what.replace(" ", "_"): list(done), "failed": failed})
    else:
        for each in done:
            click.echo(f"{each}\t{what}")
    _complain(failed)


def _complain(failed: dict[str, str]) -> None:
    """End the command with an error if something could not be done to some jobs."""
    for each, why in failed.items():
        click.echo(f"{each}: {why}", err=True)
    if failed:
        raise SystemExit(FAILED)
