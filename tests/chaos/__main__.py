"""``python -m tests.chaos``: kill the service's processes at random and print a report."""

from __future__ import annotations

import argparse
import secrets
import sys

from rich.console import Console
from rich.table import Table

from benchmarks.report import Report as Files
from tests.chaos.trials import Report, run


def table(outcome: Report) -> Table:
    """Return the report as a table."""
    rows = Table(title=f"{outcome.kills.total()} kills in {outcome.lasted_s:.0f} s, seed {outcome.seed}")
    rows.add_column("what")
    rows.add_column("count", justify="right")
    for name, count in sorted(outcome.kills.items()):
        rows.add_row(f"kill -9 of {name}", str(count))
    rows.add_row("SIGSTOP of a worker past its lease", str(outcome.stops))
    for name, count in sorted(outcome.exits.items()):
        rows.add_row(f"{name} exited by itself", str(count))
    rows.add_section()
    rows.add_row("jobs accepted", str(outcome.accepted))
    for state in ("Success", "Failed", "Cancel", "Submitted", "Running", "Pause"):
        if outcome.states[state] or state in {"Success", "Failed", "Cancel"}:
            rows.add_row(f"  {state}", str(outcome.states[state]))
    for reason, count in outcome.reasons.most_common(5):
        rows.add_row(f"    {reason}", str(count))
    rows.add_row("rows of batches", str(outcome.rows))
    rows.add_row("jobs whose stems were copied", str(outcome.reused))
    rows.add_row("jobs cancelled at their deadline", str(outcome.late))
    rows.add_row("events received by a listener", str(outcome.events))
    rows.add_row("jobs claimed again after a kill", str(outcome.reclaims))
    rows.add_row("callbacks received", str(outcome.callbacks))
    rows.add_row("  of these repeated", str(outcome.callbacks_repeated), end_section=True)
    rows.add_row("lost", str(outcome.lost))
    rows.add_row("done twice", str(outcome.done_twice))
    rows.add_row("stale writes", str(outcome.stale_writes))
    rows.add_row("stored although the response was 503", str(outcome.stored_after_503))
    rows.add_row("other faults", str(len(outcome.faults)))
    rows.add_row("empty uploads left", str(outcome.empty_uploads), end_section=True)
    for kind, seconds in outcome.pauses.items():
        rows.add_row(f"longest time in which no job was {kind}", f"{seconds:.1f} s")
    rows.add_row("worst claim to claim", f"{outcome.worst_claim_to_claim:.1f} s")
    return rows


def write(report: Files, outcome: Report) -> None:
    """Write the table to files."""
    counted = {
        "kills": outcome.kills.total(),
        "stops": outcome.stops,
        "accepted": outcome.accepted,
        "reclaims": outcome.reclaims,
        "lost": outcome.lost,
        "done_twice": outcome.done_twice,
        "stale_writes": outcome.stale_writes,
        "stored_after_503": outcome.stored_after_503,
        "faults": len(outcome.faults),
    }
    for key, count in counted.items():
        report.add(key, [count], unit="", label=key.replace("_", " "))
    rows = table(outcome)
    cells = [list(column.cells) for column in rows.columns]
    report.table("rows", ("What", "Count"), zip(*cells, strict=True))
    report.write()


def main() -> int:
    """Run the trials."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--trials", type=int, default=100, help="how many kills")
    parser.add_argument("--seed", type=int, default=None, help="repeats the same choices")
    parser.add_argument("--name", default="", help="of files in benchmarks/results; none without")
    asked = parser.parse_args()
    title = f"kill -9 at random: {asked.trials} kills of the running service"
    report = Files(asked.name, title, ["tests/chaos/trials.py"])
    seed = secrets.randbelow(10**6) if asked.seed is None else asked.seed
    console = Console(width=110)
    outcome = run(asked.trials, seed, log=lambda text: console.print(text, style="dim"))
    console.print(table(outcome))
    if asked.name:
        write(report, outcome)
    for fault in outcome.faults[:30]:
        console.print(fault, style="red", soft_wrap=True)
    return 1 if outcome.faults else 0


if __name__ == "__main__":
    sys.exit(main())
