"""``stemline store callbacks``: dead letters of all buckets, beside the job store."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from stemline.cli.examples import examples
from stemline.cli.exits import CommandFailed
from stemline.cli.group import Group
from stemline.cli.output import as_json, print_json, print_table, printable, screen
from stemline.cli.statuses import NOT_FOUND
from stemline.cli.tables import Column
from stemline.cli.times import TIME
from stemline.cli.words import WORD

if TYPE_CHECKING:
    from stemline.jobs.delivery import Delivery
    from stemline.jobs.tenant import Tenant

_F = TypeVar("_F", bound=Callable[..., Any])
_COLUMNS = (
    Column("Callback", is_id=True),
    Column("To"),
    Column("Bucket", min_width=100),
    Column("Tries", right=True, min_width=60),
    Column("Last try", min_width=120),
    Column("Status", min_width=70),
)


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
        click.option("--host", type=WORD, help="Only those to this host, or to this MqRegion/MqName."),
    ):
        command = option(command)
    return command


@click.group(name="callbacks", cls=Group)
def callbacks() -> None:
    """List, show and replay undelivered callbacks of all buckets.

    A callback becomes a dead letter when all attempts of its schedule have failed.
    """


@callbacks.command(name="list", **examples("stemline store callbacks list --since 2d"))
@filters
@click.option("--page", default=1, show_default=True, type=click.IntRange(1), help="Page to print.")
@click.option("--size", default=50, show_default=True, type=click.IntRange(1, 1000), help="Lines per page.")
@as_json
def list_(  # noqa: PLR0917 - one argument for each option
    host: str | None, tenant: Tenant | None, since: datetime | None, page: int, size: int, as_json: bool
) -> None:
    """List dead letters, newest first."""
    from stemline.cli.local_stack import open_store

    listing = open_store().outbox.dead(
        tenant=tenant, host=host, since=_microseconds(since), page=page, size=size
    )
    if as_json:
        for delivery in listing.items:
            print_json(document(delivery))
        return
    print_table(_COLUMNS, map(_row, listing.items), empty="No dead letters.")
    click.echo(f"{len(listing.items)} of {listing.total}", err=True)


@callbacks.command(**examples("stemline store callbacks show ID"))
@click.argument("ids", nargs=-1, required=True, type=WORD, metavar="ID...")
@as_json
def show(ids: tuple[str, ...], as_json: bool) -> None:
    """Show callbacks with all delivery attempts.

    An ID is that of a callback or of its job.
    """
    from stemline.cli.local_stack import open_store
    from stemline.jobs.store import delivery_id

    outbox = open_store().outbox
    for name in ids:
        delivery = outbox.get(delivery_id(name) if name.startswith("j") else name)
        if delivery is None:
            raise CommandFailed(f"there is no callback {name}, or it has expired", status=NOT_FOUND)
        if as_json:
            print_json(document(delivery))
        else:
            describe(delivery)


@callbacks.command(
    **examples(
        "stemline store callbacks replay ID", "stemline store callbacks replay --host example.com --since 2d"
    )
)
@click.argument("ids", nargs=-1, type=WORD, metavar="[ID]...")
@filters
@click.option("--all", "everything", is_flag=True, help="Replay all dead letters.")
@as_json
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

    Select them by IDs of callbacks or jobs, by the options, or with --all.
    """
    from stemline.cli.local_stack import open_store
    from stemline.jobs.store import delivery_id

    filtered = host is not None or tenant is not None or since is not None
    if sum((bool(ids), filtered, everything)) != 1:
        raise click.UsageError("give either IDs, or filters (--host, --tenant, --since), or --all")
    outbox = open_store().outbox
    if ids:
        count = outbox.replay([delivery_id(i) if i.startswith("j") else i for i in ids])
    else:
        count = outbox.replay_where(tenant=tenant, host=host, since=_microseconds(since))
    if as_json:
        print_json({"replayed": count})
    else:
        click.echo(f"{count} replayed; the next sweep delivers them")
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
    """Print a callback and its attempts."""
    facts = [
        ("job", f"{delivery.job_id} of {delivery.tenant}"),
        ("to", f"{destination(delivery)} ({delivery.target.format})"),
        *([] if delivery.due is None else [("next try", local_time(delivery.due))]),
        *(
            (
                "try",
                f"{number}. {local_time(attempt.at)}  {attempt.status}  {attempt.duration_ms} ms  "
                + " ".join(attempt.answer[:200].split()),
            )
            for number, attempt in enumerate(delivery.attempts, 1)
        ),
    ]
    screen().print(f"{delivery.id}  {delivery.status}", markup=False)
    for name, text in facts:
        screen().print(f"  {name:<11}{printable(text)}", markup=False)


def _row(delivery: Delivery) -> tuple[str, ...]:
    last = delivery.attempts[-1] if delivery.attempts else None
    return (
        delivery.id,
        delivery.target.host,
        str(delivery.tenant),
        str(len(delivery.attempts)),
        local_time(last.at) if last else "-",
        last.status if last else "-",
    )


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
