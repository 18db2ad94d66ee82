"""``stemline usage``: what the jobs of a bucket took, by credential and day."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from stemline.cli.connection import Connection, connected
from stemline.cli.examples import command_with
from stemline.cli.output import as_json, print_objects, span
from stemline.cli.tables import Column

if TYPE_CHECKING:
    from stemline.client.usage import Usage

_COLUMNS = (
    Column("Day"),
    Column("Credential", min_width=60),
    Column("Jobs", right=True),
    Column("Success", right=True),
    Column("Failed", right=True),
    Column("Audio", right=True, min_width=70),
    Column("Work", min_width=90),
    Column("MB in", right=True, min_width=100),
    Column("MB out", right=True, min_width=110),
)
_DAY = click.DateTime(formats=["%Y-%m-%d"])


@command_with("stemline usage", "stemline usage --from 2026-09-01 --to 2026-09-30 --json")
@click.option("--from", "first", type=_DAY, help="First day, by UTC; 30 days before the last by default.")
@click.option("--to", "last", type=_DAY, help="Last day; today by default.")
@as_json
@connected
def usage(connection: Connection, *, first: datetime | None, last: datetime | None, as_json: bool) -> None:
    """Show what the jobs took: seconds of audio and of work, bytes."""
    _check_days(first, last)
    with connection.open() as client:
        found = client.usage(first=first.date() if first else None, last=last.date() if last else None)
    print_objects(found, _COLUMNS, _row, as_json=as_json, empty="No jobs in these days.")


def _check_days(first: datetime | None, last: datetime | None) -> None:
    """Refuse days of which there are none, or too many.

    Raises:
        click.UsageError: Names the option that is wrong.
    """
    from stemline.jobs.usage import MAX_DAYS

    today = datetime.now(UTC).replace(tzinfo=None)
    if first and first > today:
        raise click.UsageError(f"--from {first:%Y-%m-%d} is in the future")
    if first and last and first > last:
        raise click.UsageError(f"--from {first:%Y-%m-%d} is later than --to {last:%Y-%m-%d}")
    if first and ((last or today) - first).days >= MAX_DAYS:
        until = f"--to {last:%Y-%m-%d}" if last else "today"
        raise click.UsageError(f"--from {first:%Y-%m-%d} is more than {MAX_DAYS} days before {until}")


def _row(usage: Usage) -> tuple[str, ...]:
    work = ", ".join(f"{span(seconds)} {device}" for device, seconds in sorted(usage.work_s.items()))
    return (
        usage.day.isoformat(),
        usage.credential,
        str(usage.jobs),
        str(usage.succeeded),
        str(usage.failed),
        span(usage.audio_s),
        work,
        f"{usage.bytes_in / 1e6:.1f}",
        f"{usage.bytes_out / 1e6:.1f}",
    )
