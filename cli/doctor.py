"""`stemline doctor`: check an installation from this machine and say how to fix what is wrong."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from stemline.cli.checks import CHECKS
from stemline.cli.examples import command_with
from stemline.cli.exits import EndedAtOnce
from stemline.cli.output import as_json, print_json, print_table
from stemline.cli.program import spelled
from stemline.cli.statuses import DONE, FAILED
from stemline.cli.tables import Column

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stemline.cli.checks.findings import Finding


@command_with(
    "stemline doctor", "stemline doctor buckets callbacks --bucket ap-chongqing/media-1250000000 --read-only"
)
@click.argument("checks", nargs=-1, type=click.Choice(list(CHECKS)), metavar="[CHECK]...")
@click.option(
    "--bucket", "buckets", multiple=True, metavar="REGION/BUCKET", help="Check this bucket; may be repeated."
)
@click.option("--receiver", metavar="URL", default="", help="Connect to this receiver of callbacks.")
@click.option("--read-only", is_flag=True, help="Write nothing to buckets.")
@as_json
def doctor(
    checks: Sequence[str], buckets: Sequence[str], receiver: str, *, read_only: bool, as_json: bool
) -> None:
    """Check the installation and say how to fix it.

    The checks are service, store, broker, capacity, buckets, weights, device, kernels, callbacks, scratch,
    telemetry, security and flower; all run by default, at the same time. They see the installation from this
    machine: that of the settings, or the local stack that runs here; service is what the other commands use.

    A check that is not done after 20 seconds (weights and device: 120) is reported and left, so that nothing
    that hangs holds the report back for longer.

    The exit status is 1 if an error was found, which stops the service from working; warnings do not count.
    """
    import logging

    from stemline.cli.checks.findings import CheckContext, Verdict
    from stemline.cli.checks.timed import run_checks
    from stemline.cli.local_stack import adopt_settings
    from stemline.runtime.logging import configure_console
    from stemline.runtime.settings import Settings

    configure_console(logging.ERROR)
    if (home := adopt_settings()) is not None:
        click.echo(f"Checking the local stack of {home}.", err=True)
    context = CheckContext(Settings(), not read_only, tuple(buckets), receiver)
    chosen = {name: check for name, check in CHECKS.items() if not checks or name in checks}
    findings, all_ended = run_checks(chosen, context)
    if as_json:
        for finding in findings:
            print_json(asdict(finding))
    else:
        _print_table(findings)
    status = FAILED if any(finding.verdict is Verdict.ERROR for finding in findings) else DONE
    raise SystemExit(status) if all_ended else EndedAtOnce(status)


def _print_table(findings: Sequence[Finding]) -> None:
    columns = (Column("Check", is_id=True), Column("", is_id=True), Column("Result"), Column("How to fix it"))
    print_table(columns, [(each.check, each.verdict, each.message, spelled(each.fix)) for each in findings])
