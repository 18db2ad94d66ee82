"""``make traces``: kill processes at random, and hold what each job's record showed against the model."""

from __future__ import annotations

import argparse
import secrets
import sys
from typing import Any

from rich.console import Console

from benchmarks.report import Report as Files
from tests.chaos import trials
from tests.chaos.witness import Witness
from tools.traces import Record, judge, read


class RecordingWitness(Witness):
    """Also keeps every command that changes a job."""

    latest: RecordingWitness

    def __init__(self, *args: Any) -> None:
        """Follow a server."""
        self.transactions: list[list[list[bytes]]] = []
        RecordingWitness.latest = self
        super().__init__(*args)

    def _note_transaction(self, transaction: list[list[bytes]]) -> None:
        super()._note_transaction(transaction)
        own = [command for command in transaction if len(command) > 1 and command[1].startswith(self._key)]
        if own:
            self.transactions.append(own)


def main() -> int:
    """Make the kills and compare; the exit status is 1 if a job did what the model does not."""
    parser = argparse.ArgumentParser(prog="make traces", description=__doc__)
    parser.add_argument("--trials", type=int, default=30, help="kills")
    parser.add_argument("--seed", type=int, default=None, help="repeats the same choices")
    parser.add_argument("--name", default="", help="of files in benchmarks/results; none without")
    asked = parser.parse_args()
    seed = secrets.randbelow(10**6) if asked.seed is None else asked.seed
    console = Console(width=110)
    place: Any = trials
    place.Witness = RecordingWitness
    outcome = trials.run(asked.trials, seed=seed)
    prefix = RecordingWitness.latest._key.decode().removesuffix(":job:")
    records: dict[str, Record] = read(RecordingWitness.latest.transactions, prefix)
    verdict = judge(records.values())
    rows = [
        ("kill -9", str(outcome.kills.total())),
        ("jobs whose record is a behaviour of the model", str(verdict.jobs)),
        ("different sequences of these", str(verdict.kinds)),
        (
            "jobs with an attempt that does not count, which the model does not have",
            str(verdict.not_modelled),
        ),
        ("sequences that the model does not have", str(len(verdict.rejected))),
    ]
    for what, text in rows:
        console.print(f"{what}: {text}")
    for kind in verdict.rejected[:5]:
        console.print(str(kind), style="red", soft_wrap=True)
    if asked.name:
        files = Files(
            asked.name, "Records of jobs and the model", ["tests/chaos/traces.py", "tools/traces.py"]
        )
        files.table("rows", ("What", "Count"), rows)
        files.add("jobs", [verdict.jobs], unit="", label="jobs compared")
        files.write()
    return 1 if verdict.rejected or outcome.faults else 0


if __name__ == "__main__":
    sys.exit(main())
