"""``stemline store callbacks``: dead letters of all buckets, beside the job store."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from stemline.cli.group import Group
from stemline.cli.times import TIME

if TYPE_CHECKING:
    from stemline.jobs.delivery import Delivery
    from stemline.jobs.tenant import Tenant

_F = TypeVar("_F", bound=Callable[..., Any])


class TenantName(click.ParamType["Tenant"]):
    """A bucket, as ``region/bucket``."""

    name = "region/bucket"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Tenant:
        """Parse the option."""
        from stemline.jobs.tenant import Tenant

        region, _, bucket = value.partition("/")
        if not bucket:
            self.fail(f"{value} is not region/bucket", param, ctx)
        return Tenant(bucket=bucket, region=region)


def filters(command: _F) -> _F:
    """Add the options that select dead letters."""
    for option in (
        click.option("--since", type=TIME, help="Only those that failed since then: 2h, 3d or a time."),
        click.option("--tenant", type=TenantName(), help="Only those for jobs of this bucket."),
        click.option("--host", help="Only those to this host, or to this MqRegion/MqName."),
    ):
        command = option(command)
    return command


@click.group(name="callbacks", cls=Group)
def callbacks() -> None:
    """List, show and replay undelivered callbacks of all buckets.

    A callback becomes a dead letter when all attempts of its schedule have failed.
    """


@callbacks.command(name="list")
@filters
@click.option("--page", default=1, show_default=True, type=click.IntRange(1), help="Page to print.")
@click.option("--size", default=50, show_default=True, type=click.IntRange(1, 1000), help="Lines per page.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
def list_(  # noqa: PLR0917 - one argument for each option
    host: str | None, tenant: Tenant | None, since: datetime | None, page: int, size: int, as_json: bool
) -> None:
    """List dead letters, latest first."""
    from stemline.cli.local_stack import open_store

    listing = open_store().outbox.dead(
        tenant=tenant, host=host, since=_microseconds(since), page=page, size=size
    )
    if as_json:
        for delivery in listing.items:
            print(json.dumps(document(delivery)))
        return

    from rich.console import Console
    from rich.table import Table

    table = Table("Callback", "To", "Bucket", "Attempts", "Last attempt", "Status", title="Dead letters")
    for delivery in listing.items:
        last = delivery.attempts[-1] if delivery.attempts else None
        table.add_row(
            delivery.id,
            delivery.target.host,
            str(delivery.tenant),
            str(len(delivery.attempts)),
            local_time(last.at) if last else "-",
            last.status if last else "-",
        )
    console = Console()
    if listing.items:
        console.print(table)
    console.print(f"{len(listing.items)} of {listing.total}")


@callbacks.command()
@click.argument("ids", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
def show(ids: tuple[str, ...], as_json: bool) -> None:
    """Show callbacks with all delivery attempts.

    IDS are ids of callbacks or of jobs.
    """
    from stemline.cli.local_stack import open_store
    from stemline.jobs.store import delivery_id

    outbox = open_store().outbox
    for name in ids:
        delivery = outbox.get(delivery_id(name) if name.startswith("j") else name)
        if delivery is None:
            raise click.ClickException(f"there is no callback {name}, or it has expired")
        if as_json:
            print(json.dumps(document(delivery)))
        else:
            describe(delivery)


@callbacks.command()
@click.argument("ids", nargs=-1)
@filters
@click.option("--all", "everything", is_flag=True, help="Replay all dead letters.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def replay(
    ids: tuple[str, ...],
    host: str | None,
    tenant: Tenant | None,
    since: datetime | None,
    *,
    everything: bool,
    as_json: bool,
) -> None:
    """Deliver dead letters again, with a new schedule of attempts.

    Select them by IDS of callbacks or jobs, by the options, or with --all.
    """
    from stemline.cli.local_stack import open_store
    from stemline.jobs.store import delivery_id

    filtered = host is not None or tenant is not None or since is not None
    if sum((bool(ids), filtered, everything)) != 1:
        raise click.UsageError("give either IDS, or filters (--host, --tenant, --since), or --all")
    outbox = open_store().outbox
    if ids:
        count = outbox.replay([delivery_id(i) if i.startswith("j") else i for i in ids])
    else:
        count = outbox.replay_where(tenant=tenant, host=host, since=_microseconds(since))
    if as_json:
        print(json.dumps({"replayed": count}))
    else:
        print(f"{count} replayed; the next sweep delivers them")
    if ids and count < len(ids):
        raise click.ClickException(f"{len(ids) - count} of them are not dead letters")


def _microseconds(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1e6)


def document(delivery: Delivery) -> dict[str, Any]:
    """Return a callback as JSON; passwords in its URL are masked."""
    return {
        "id": delivery.id,
        "job": delivery.job_id,
        "tenant": str(delivery.tenant),
        "status": delivery.status,
        "to": destination(delivery),
        "format": delivery.target.format,
        "created": iso_time(delivery.created),
        "due": None if delivery.due is None else iso_time(delivery.due),
        "attempts": [{**dataclasses.asdict(a), "at": iso_time(a.at)} for a in delivery.attempts],
    }


def describe(delivery: Delivery) -> None:
    """Print a callback as text and a table."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    console.print(f"[bold]{delivery.id}[/]  {delivery.status}")
    console.print(f"job {delivery.job_id} of {delivery.tenant}, {delivery.target.format}")
    console.print(f"to  {escape(destination(delivery))}")
    if delivery.due is not None:
        console.print(f"next attempt {local_time(delivery.due)}")
    table = Table("", "Time", "Status", "Duration", "Response")
    for number, attempt in enumerate(delivery.attempts, 1):
        answer = escape(attempt.answer[:200])
        duration = f"{attempt.duration_ms} ms"
        table.add_row(str(number), local_time(attempt.at), attempt.status, duration, answer)
    console.print(table)


def destination(delivery: Delivery) -> str:
    """Return the target of a callback, without passwords."""
    mq = delivery.target.mq
    if mq is not None:
        return f"{mq.mode} {mq.name} in {mq.region}"
    return delivery.target.shown_url


def iso_time(microseconds: int) -> str:
    """Return a time in ISO 8601 with its offset."""
    return datetime.fromtimestamp(microseconds / 1e6).astimezone().isoformat(timespec="milliseconds")


def local_time(microseconds: int) -> str:
    """Return a time in this machine's time zone, for people."""
    return datetime.fromtimestamp(microseconds / 1e6).astimezone().strftime("%Y-%m-%d %H:%M:%S")
