"""``stemline callbacks``: what was not delivered, why, and another chance for it."""

from __future__ import annotations

import dataclasses
import json
import re
import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from stemline.jobs.delivery import Delivery
    from stemline.jobs.tenant import Tenant

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_F = TypeVar("_F", bound=Callable[..., Any])


class Since(click.ParamType[int]):
    """A time as ``90m``, ``2h``, ``3d`` ago, or in the wire's form; becomes µs since the epoch."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read one."""
        from stemline.wire.times import parse_time

        ago = re.fullmatch(r"(\d+)([smhd])", value)
        if ago:
            return round((time.time() - int(ago[1]) * _UNITS_S[ago[2]]) * 1e6)
        try:
            return parse_time(value)
        except ValueError:
            self.fail(f"{value} is neither 2h, 3d … nor 2026-03-01T10:20:30+0800", param, ctx)


class TenantName(click.ParamType["Tenant"]):
    """``region/bucket``."""

    name = "region/bucket"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Tenant:
        """Read one."""
        from stemline.jobs.tenant import Tenant

        region, _, bucket = value.partition("/")
        if not bucket:
            self.fail(f"{value} is not region/bucket", param, ctx)
        return Tenant(bucket=bucket, region=region)


def filters(command: _F) -> _F:
    """The options that choose dead letters."""
    for option in (
        click.option("--since", type=Since(), help="Given up since then: 2h, 3d or a time."),
        click.option("--tenant", type=TenantName(), help="Only of this bucket."),
        click.option("--host", help="Only to this host, or to this MqRegion/MqName."),
    ):
        command = option(command)
    return command


@click.group(name="callbacks")
def callbacks() -> None:
    """List, show and replay callbacks that failed for good."""


@callbacks.command(name="list")
@filters
@click.option("--page", default=1, show_default=True, type=click.IntRange(1))
@click.option("--size", default=50, show_default=True, type=click.IntRange(1, 1000))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_(  # noqa: PLR0917 - click names them all
    host: str | None, tenant: Tenant | None, since: int | None, page: int, size: int, as_json: bool
) -> None:
    """List dead letters, the latest first."""
    from stemline.cli.local_stack import open_store

    listing = open_store().outbox.dead(tenant=tenant, host=host, since=since, page=page, size=size)
    if as_json:
        for delivery in listing.items:
            print(json.dumps(document(delivery)))
        return

    from rich.console import Console
    from rich.table import Table

    table = Table("Callback", "To", "Job of", "Tries", "Last try", "Status", title="Dead letters")
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
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def show(ids: tuple[str, ...], as_json: bool) -> None:
    """Show callbacks with all their tries; IDS are those of callbacks or of jobs."""
    from stemline.cli.local_stack import open_store
    from stemline.jobs.store import delivery_id

    outbox = open_store().outbox
    for name in ids:
        delivery = outbox.get(delivery_id(name) if name.startswith("j") else name)
        if delivery is None:
            raise click.ClickException(f"{name} has no callback, or none any more")
        if as_json:
            print(json.dumps(document(delivery)))
        else:
            describe(delivery)


@callbacks.command()
@click.argument("ids", nargs=-1)
@filters
@click.option("--all", "everything", is_flag=True, help="All dead letters.")
def replay(
    ids: tuple[str, ...], host: str | None, tenant: Tenant | None, since: int | None, everything: bool
) -> None:
    """Try dead letters again from the start of their schedule: IDS, or those that the options choose."""
    from stemline.cli.local_stack import open_store
    from stemline.jobs.store import delivery_id

    chosen = host is not None or tenant is not None or since is not None
    if sum((bool(ids), chosen, everything)) != 1:
        raise click.UsageError("name callbacks, or choose with --host, --tenant, --since, or say --all")
    outbox = open_store().outbox
    if ids:
        count = outbox.replay([delivery_id(i) if i.startswith("j") else i for i in ids])
    else:
        count = outbox.replay_where(tenant=tenant, host=host, since=since)
    print(f"{count} replayed; the next sweep sends them")
    if ids and count < len(ids):
        raise click.ClickException(f"{len(ids) - count} were no dead letters")


def document(delivery: Delivery) -> dict[str, Any]:
    """A callback as JSON; passwords in its URL are masked."""
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
    """Print a callback for people."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    console.print(f"[bold]{delivery.id}[/]  {delivery.status}")
    console.print(f"job {delivery.job_id} of {delivery.tenant}, {delivery.target.format}")
    console.print(f"to  {escape(destination(delivery))}")
    if delivery.due is not None:
        console.print(f"next try {local_time(delivery.due)}")
    table = Table("", "When", "Status", "Took", "Answer")
    for number, attempt in enumerate(delivery.attempts, 1):
        answer = escape(attempt.answer[:200])
        took = f"{attempt.duration_ms} ms"
        table.add_row(str(number), local_time(attempt.at), attempt.status, took, answer)
    console.print(table)


def destination(delivery: Delivery) -> str:
    """Whom a callback goes to, without a password."""
    mq = delivery.target.mq
    if mq is not None:
        return f"{mq.mode} {mq.name} in {mq.region}"
    return delivery.target.shown_url


def iso_time(microseconds: int) -> str:
    """A time with its offset."""
    return datetime.fromtimestamp(microseconds / 1e6).astimezone().isoformat(timespec="milliseconds")


def local_time(microseconds: int) -> str:
    """A time as people on this machine read it."""
    return datetime.fromtimestamp(microseconds / 1e6).astimezone().strftime("%Y-%m-%d %H:%M:%S")
