"""``stemline cancel`` and ``retry``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from stemline.cli.connection import Connection, connected
from stemline.cli.examples import command_with
from stemline.cli.exits import CommandFailed
from stemline.cli.jobs import queue_option, selection, since_option, until_option
from stemline.cli.output import as_json, counted, hint, print_json, printable, say
from stemline.cli.statuses import FAILED, NOT_FOUND
from stemline.cli.words import WORD

if TYPE_CHECKING:
    from stemline.client import Client

_F = TypeVar("_F", bound=Callable[..., Any])
CANCELLABLE: Final = ("Submitted", "Pause", "Running")
RETRIABLE: Final = ("Failed", "Cancel")


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
        queue_option,
        click.option("--prefix", type=WORD, help="Only jobs whose source keys begin so."),
        click.option("--level", type=click.IntRange(0, 2), help="Only jobs of this level."),
        since_option,
        until_option,
        click.option("--all", "everything", is_flag=True, help="All such jobs of the bucket."),
        click.option("--dry-run", is_flag=True, help="Only print how many jobs would be changed."),
        click.option("--yes", is_flag=True, help="Do not ask before many jobs are changed."),
        as_json,
    )

    def add(command: _F) -> _F:
        for option in reversed(options):
            command = option(command)
        return command

    return add


@command_with("stemline cancel ID", "stemline cancel --prefix in/album/ --state submitted --dry-run")
@click.argument("ids", nargs=-1, type=WORD, metavar="[ID]...")
@_chosen(CANCELLABLE)
@connected
def cancel(connection: Connection, *, ids: Sequence[str], **options: Any) -> None:
    """Cancel jobs, by their IDs, by filters or --all.

    Only jobs that have not ended are cancelled.
    """
    with connection.open() as client:
        _change(client, "cancelled", ids, client.cancel, client.cancel_where, **options)


@command_with("stemline retry ID", "stemline retry --state failed --since 2h --yes")
@click.argument("ids", nargs=-1, type=WORD, metavar="[ID]...")
@_chosen(RETRIABLE)
@connected
def retry(connection: Connection, *, ids: Sequence[str], **options: Any) -> None:
    """Submit failed or cancelled jobs again, as new jobs.

    The new jobs have the parameters, queue and callback of the old ones. Select the old ones by their
    IDs, by filters, or with --all. Filters and --all leave out jobs that were retried before.
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
        names = list(dict.fromkeys(ids))
        done, failed = _checked(client, what, names) if dry_run else _one_by_one(client, change, names)
        if as_json:
            reasons = {name: reason for name, (reason, _) in failed.items()}
            print_json({what: done, "failed": reasons, "dry_run": dry_run})
        else:
            for job_id, made in done.items():
                click.echo(f"{job_id}\t{'would be ' if dry_run else ''}{printable(made or what)}")
        _complain(client, failed)
        return
    chosen = selection(client, **chosen)
    count = change_where(dry_run=True, **chosen)
    if not dry_run and count:
        if count > 1 and not yes:
            _ask(f"{count} jobs will be {what}. Continue?")
        count = change_where(**chosen)
    if as_json:
        print_json({"count": count, "dry_run": dry_run})
    else:
        click.echo(f"{counted(count, 'job')} {'would be ' if dry_run else ''}{what}")


def _ask(question: str) -> None:
    """Ask whether to go on.

    Raises:
        click.Abort: The answer is no.
        CommandFailed: Nobody answers.
    """
    try:
        click.confirm(question, abort=True, err=True)
    except click.Abort as error:
        if isinstance(error.__context__, EOFError):
            click.echo(err=True)  # the question is left as it is
            raise CommandFailed("nobody answers, so nothing was done", hint="--yes does not ask") from error
        raise


def _checked(
    client: Client, what: str, ids: Sequence[str]
) -> tuple[dict[str, str], dict[str, tuple[str, int]]]:
    """Return which jobs would be changed, and why others would not be, each with an exit status."""
    jobs = client.get_many(ids)
    done: dict[str, str] = {}
    failed: dict[str, tuple[str, int]] = {}
    for each in ids:
        job = jobs.get(each)
        if job is None:
            failed[each] = _unknown(client)
        elif (job.state in CANCELLABLE) if what == "cancelled" else (job.state in RETRIABLE):
            done[each] = ""
        else:
            failed[each] = (f"it is {job.state} and cannot be {what}", FAILED)
    return done, failed


def _one_by_one(
    client: Client, change: Callable[[str], Any], ids: Sequence[str]
) -> tuple[dict[str, str], dict[str, tuple[str, int]]]:
    """Change some jobs; return the new job of each, where there is one, and why others were not changed."""
    from stemline.client import ApiError

    done: dict[str, str] = {}
    failed: dict[str, tuple[str, int]] = {}
    for each in ids:
        try:
            made = change(each)
        except ApiError as error:
            if error.status in {403, 503}:
                raise
            # The wire has one code for a job that is not there and for one that cannot be changed.
            is_there = bool(client.get_many([each]))
            failed[each] = (error.message, FAILED) if is_there else _unknown(client)
        else:
            done[each] = made[0].id if made else ""
    return done, failed


def _unknown(client: Client) -> tuple[str, int]:
    """Return why nothing is done to a job that is not there, with the exit status."""
    return f"there is no such job in {client.target.bucket}", NOT_FOUND


def _complain(client: Client, failed: Mapping[str, tuple[str, int]]) -> None:
    """End the command with an error if something could not be done to some jobs."""
    for each, (why, _) in failed.items():
        say(f"{each}: {why}", err=True)
    if failed:
        statuses = {status for _, status in failed.values()}
        if NOT_FOUND in statuses:
            hint(f"`stemline jobs` lists those of {client.target.bucket}")
        raise SystemExit(statuses.pop() if len(statuses) == 1 else FAILED)
