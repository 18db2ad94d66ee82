"""``stemline store``: maintenance of the job store."""

from __future__ import annotations

from dataclasses import asdict

import click

from stemline.cli.examples import examples
from stemline.cli.exits import CommandFailed
from stemline.cli.group import Group
from stemline.cli.output import as_json, print_json
from stemline.cli.statuses import NOT_FOUND
from stemline.cli.store_callbacks import callbacks
from stemline.cli.words import WORD
from stemline.wire.times import format_time


@click.group(cls=Group)
def store() -> None:
    """Maintain the job store."""


@store.command(**examples("stemline store migrate --pre --dry-run", "stemline store migrate --post"))
@click.option("--pre", "phase", flag_value="pre", help="Before the rollout, with the new release.")
@click.option("--post", "phase", flag_value="post", help="Once no process of the old release is left.")
@click.option("--dry-run", is_flag=True, help="List the migrations without applying them.")
@as_json
def migrate(phase: str | None, *, dry_run: bool, as_json: bool) -> None:
    """Apply the pending migrations of a release.

    See docs/operations.md.
    """
    from stemline.cli.local_stack import open_store
    from stemline.jobs.store.migrations import Phase, PreMigrationsPending

    if phase is None:
        raise click.UsageError("give --pre or --post")
    migrations = open_store().migrations
    try:
        found = migrations.pending(Phase(phase)) if dry_run else migrations.apply(Phase(phase))
    except PreMigrationsPending as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        state = "pending" if dry_run else "applied"
        for each in found:
            print_json({"name": each.name, "summary": each.summary, "state": state})
        return
    for migration in found:
        click.echo(f"{'pending' if dry_run else 'applied'}: {migration.name}: {migration.summary}")
    if not found:
        click.echo("nothing to do")


@store.command(
    **examples("stemline store share AKID0001", "stemline store share AKID0001 --weight 200 --hours 3")
)
@click.argument("secret_id", type=WORD)
@click.option("--weight", type=click.IntRange(1, 1000), help="Turns relative to other shares; 100 is usual.")
@click.option("--hours", type=click.FloatRange(0, 8784), default=1.0, show_default=True, help="For how long.")
@as_json
def share(secret_id: str, *, weight: int | None, hours: float, as_json: bool) -> None:
    """Show the share of a credential, or change it.

    --weight gives it another weight for some hours; --hours 0 ends that.
    """
    from stemline.cli.local_stack import open_store

    opened = open_store()
    known = opened.shares.get(secret_id)
    if known is None:
        raise CommandFailed(f"{secret_id} has submitted no job with a weight yet", status=NOT_FOUND)
    if weight is not None:
        opened.shares.override(secret_id, weight, opened.now() + round(hours * 3600e6))
        known = opened.shares.get(secret_id) or known
    if as_json:
        print_json(asdict(known))
        return
    until = f", {known.temporary} until {format_time(known.until)}" if known.until else ""
    click.echo(f"{secret_id}: weight {known.weight}{until}")


store.add_command(callbacks)
