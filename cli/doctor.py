"""`stemline doctor`: what is wrong with this installation, seen from this machine, and what mends it."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from stemline.cli.checks import CHECKS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stemline.cli.checks.findings import Finding

#: Columns where no terminal says how many it has.
_WIDTH = 160
_COLOURS = {"ok": "green", "warning": "yellow", "bad": "red", "skipped": "dim"}


@click.command()
@click.argument("parts", nargs=-1, type=click.Choice(list(CHECKS)))
@click.option("--bucket", "buckets", multiple=True, metavar="REGION/BUCKET", help="A bucket to try.")
@click.option("--receiver", metavar="URL", default="", help="A receiver that callbacks should reach.")
@click.option("--read-only", is_flag=True, help="Write nothing to buckets.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def doctor(
    parts: Sequence[str], buckets: Sequence[str], receiver: str, *, read_only: bool, as_json: bool
) -> None:
    """Check PARTS of the installation (all of them by default) and say what to mend.

    Ends with 1 if something keeps the service from its work, else with 0.
    """
    import logging

    from stemline.cli.checks.findings import Patient, Verdict
    from stemline.runtime.logging import for_people
    from stemline.runtime.settings import Settings

    for_people(logging.ERROR)
    patient = Patient(Settings(), not read_only, tuple(buckets), receiver)
    found = [
        finding for name, check in CHECKS.items() if not parts or name in parts for finding in check(patient)
    ]
    if as_json:
        print(json.dumps([asdict(finding) for finding in found], indent=2))
    else:
        _show(found)
    sys.exit(1 if any(finding.verdict is Verdict.BAD for finding in found) else 0)


def _show(found: Sequence[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for title in ("Part", "", "Found", "What to mend"):
        table.add_column(title, overflow="fold")
    for finding in found:
        verdict = Text(finding.verdict, style=_COLOURS[finding.verdict])
        table.add_row(finding.part, verdict, Text(finding.found), Text(finding.mend))
    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH
    console.print(table)
