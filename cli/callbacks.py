"""``stemline callbacks``: list, show and send again the callbacks of a bucket's jobs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING

import click

from stemline.cli.connection import Connection, connected
from stemline.cli.describe import describe_callback
from stemline.cli.examples import examples
from stemline.cli.exits import CommandFailed
from stemline.cli.group import Group
from stemline.cli.output import as_json, counted, local_time, print_json, print_objects, screen
from stemline.cli.statuses import NOT_FOUND
from stemline.cli.tables import Column
from stemline.cli.times import TIME
from stemline.cli.words import COUNT, WORD

if TYPE_CHECKING:
    from stemline.client import Callback, Client

_COLUMNS = (
    Column("Callback", is_id=True),
    Column("State"),
    Column("Tries", right=True, min_width=60),
    Column("Last try", min_width=90, is_extra=True),
    Column("Answer", min_width=70),
    Column("Next try", min_width=110),
    Column("To", min_width=100),
)
_host = click.option("--host", type=WORD, help="Only those to this host, or to this MqRegion/MqName.")
_since = click.option("--since", type=TIME, help="Only those since then: 90m, 2h, 3d or a time.")
_status = click.option(
    "--status",
    "states",
    multiple=True,
    type=click.Choice(["Pending", "Delivered", "Dead"], case_sensitive=False),
    help="Pending: still to be delivered, also after failed tries; Dead: given up. May be repeated.",
)


@click.group(name="callbacks", cls=Group)
def callbacks() -> None:
    """List, show and replay the callbacks of a bucket's jobs.

    `stemline store callbacks` does the same for all buckets, beside the job store.
    """


@callbacks.command(name="list", **examples("stemline callbacks list --status dead --since 3d"))
@_status
@_host
@_since
@click.option(
    "--limit",
    default=50,
    show_default=True,
    type=COUNT,
    help="Most lines to print; 0 for all.",
)
@as_json
@connected
def list_(
    connection: Connection,
    *,
    states: Sequence[str],
    host: str | None,
    since: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """List callbacks of every status, newest first."""
    with connection.open() as client:
        found = client.callbacks(states=states, host=host or "", since=since)
        empty = f"No such callbacks to {host}." if host else "No such callbacks."
        print_objects(islice(found, limit or None), _COLUMNS, _row, as_json=as_json, empty=empty)


@callbacks.command(**examples("stemline callbacks show ID"))
@click.argument("ids", nargs=-1, required=True, type=WORD, metavar="ID...")
@as_json
@connected
def show(connection: Connection, *, ids: Sequence[str], as_json: bool) -> None:
    """Show callbacks with all tries.

    An ID is that of a callback or of its job; the status does not matter.
    """
    with connection.open() as client:
        found = _known(client, ids)
        for each in found:
            if as_json:
                print_json(each.raw)
                continue
            for line in describe_callback(each):
                screen().print(line, markup=False)


@callbacks.command(
    **examples(
        "stemline callbacks replay ID", "stemline callbacks replay --status dead --host example.com --dry-run"
    )
)
@click.argument("ids", nargs=-1, type=WORD, metavar="[ID]...")
@_status
@_host
@_since
@click.option("--all", "everything", is_flag=True, help="All dead letters of the bucket.")
@click.option("--dry-run", is_flag=True, help="Only print how many callbacks would be sent.")
@as_json
@connected
def replay(
    connection: Connection,
    *,
    ids: Sequence[str],
    states: Sequence[str],
    host: str | None,
    since: datetime | None,
    everything: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Send callbacks now, whatever their status.

    Their schedule of tries begins anew. Select them by IDs of callbacks or jobs, by filters, or
    with --all. Filters select dead letters unless --status is given.
    """
    if sum((bool(ids), bool(host or since or states), everything)) != 1:
        raise click.UsageError("give either IDs, or --status, --host and --since, or --all")
    with connection.open() as client:
        if ids:
            known = [each.id for each in _known(client, ids)]
            count = len(known) if dry_run else client.send_callbacks(*known)
        else:
            count = client.send_callbacks_where(states=states, host=host or "", since=since, dry_run=dry_run)
        if not count and host:
            what = " or ".join(states).lower() or "dead"
            raise CommandFailed(
                f"there is no {what} callback to {host}",
                hint="" if states else "--status selects others, which are pending or were delivered",
                status=NOT_FOUND,
            )
        if as_json:
            print_json({"sent": count, "dry_run": dry_run})
        else:
            verb = "is" if count == 1 else "are"
            click.echo(f"{counted(count, 'callback')} {'would be' if dry_run else verb} sent again")


def _known(client: Client, ids: Sequence[str]) -> list[Callback]:
    """Return the callbacks of these ids.

    Raises:
        CommandFailed: One of them does not exist.
    """
    found = {name: each for each in client.get_callbacks(*ids) for name in (each.id, each.job_id)}
    if missing := [each for each in ids if each not in found]:
        raise CommandFailed(
            f"there is no callback {', '.join(missing)}",
            hint="a job has one only if it, or its queue, names a receiver, and only once it has ended",
            status=NOT_FOUND,
        )
    return list({found[each].id: found[each] for each in ids}.values())


def _row(callback: Callback) -> tuple[str, ...]:
    last = callback.attempts[-1] if callback.attempts else None
    return (
        callback.id,
        callback.state,
        str(len(callback.attempts)),
        local_time(last.at) if last else "-",
        last.status if last else "-",
        local_time(callback.next),
        callback.to,
    )
