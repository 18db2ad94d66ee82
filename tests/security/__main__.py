"""``make security``: attack a running service with everything, and print what held and what it cost."""

from __future__ import annotations

import argparse
import platform
import secrets
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.paths import REPOSITORY
from tests.security.attacks import attacks
from tests.security.report import HEADINGS, Row, markdown, run
from tests.security.target import running

RESULTS = REPOSITORY / "benchmarks" / "results" / "security.md"


def main() -> int:
    """Run all attacks, in plain HTTP and over TLS."""
    parser = argparse.ArgumentParser(prog="make security", description=__doc__)
    parser.add_argument("--seed", type=int, help="repeats the same choices")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of an attack")
    parser.add_argument("--only", default="", help="a part of the names of the attacks to run")
    parser.add_argument("--transport", choices=["plain", "tls"], help="only one of them")
    asked = parser.parse_args()
    seed = secrets.randbelow(10**6) if asked.seed is None else asked.seed
    console = Console(width=150)
    console.print(f"seed {seed}")
    rows: list[Row] = []
    for tls in (False, True):
        if asked.transport and tls != (asked.transport == "tls"):
            continue
        with tempfile.TemporaryDirectory() as folder, running(Path(folder), tls=tls) as target:
            chosen = [a for a in attacks(target, asked.seconds, seed) if asked.only in a.name]
            for row in run(target, chosen, seed):
                console.print(" · ".join(row.cells), style="red" if row.faults else "dim", soft_wrap=True)
                rows.append(row)
    table = Table(*HEADINGS, title=f"seed {seed}")
    for row in rows:
        table.add_row(*row.cells, style="red" if row.faults else None)
    console.print(table)
    if not asked.only and not asked.transport:
        made = f"Made by `make security SEED={seed}` with Python {platform.python_version()}."
        RESULTS.write_text(f"{made}\n\n{markdown(rows)}", encoding="utf-8")
    return 1 if any(row.faults for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
