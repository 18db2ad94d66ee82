"""``make powercut``: cut the power under Valkey, and flip bits of its files; print what was lost."""

from __future__ import annotations

import argparse
import secrets
import sys

from rich.console import Console

from benchmarks.report import Report as Files
from stemline.jobs.store.durability import Durability
from tests.chaos.powercut import flips
from tests.chaos.powercut.cuts import Outcome, run

_SOURCES = tuple(
    f"tests/chaos/powercut/{name}"
    for name in ("shim.c", "disk.py", "server.py", "clients.py", "cuts.py", "flips.py")
)


def rows(outcome: Outcome) -> list[tuple[str, str]]:
    """Return what a run found, as rows of a table."""
    damage, refused = outcome.damage, outcome.refused
    return [
        ("cuts", f"{outcome.cuts:,} in {outcome.lasted_s:.0f} s"),
        ("bytes dropped", f"{damage.dropped_bytes:,}"),
        ("tails torn", str(damage.torn)),
        ("files with pages of zeros", str(damage.holes)),
        ("changes of folders undone", str(damage.undone)),
        ("starts refused, with the reason, until the tail was cut off", str(refused.total())),
        ("changes answered", f"{outcome.found.answered:,}"),
        ("of these lost", f"{len(outcome.found.lost):,}"),
        ("records damaged", str(len(outcome.found.damaged))),
    ]


def main() -> int:
    """Make the cuts and the flips; the exit status is 1 if something was lost that must not be."""
    parser = argparse.ArgumentParser(prog="make powercut", description=__doc__)
    parser.add_argument("--cuts", type=int, default=500, help="with STEMLINE_DURABILITY=disk")
    parser.add_argument("--process", type=int, default=100, help="cuts with process and appendfsync everysec")
    parser.add_argument("--everysec", type=int, default=40, help="cuts with disk, wrongly on everysec")
    parser.add_argument("--flips", type=int, default=500, help="bits to flip, one at a time")
    parser.add_argument("--seed", type=int, default=None, help="repeats the same choices")
    parser.add_argument("--name", default="", help="of files in benchmarks/results; none without")
    asked = parser.parse_args()
    seed = secrets.randbelow(10**6) if asked.seed is None else asked.seed
    console = Console(width=110)
    console.print(f"seed {seed}")
    files = Files(asked.name, "Power cuts under Valkey, and flipped bits", _SOURCES)
    failed = False
    for name, count, durability, appendfsync in (
        ("disk", asked.cuts, Durability.DISK, "always"),
        ("process", asked.process, Durability.PROCESS, "everysec"),
        ("everysec", asked.everysec, Durability.DISK, "everysec"),
    ):
        if not count:
            continue
        outcome = run(count, durability, appendfsync, seed, log=lambda text: console.print(text, style="dim"))
        for what, text in rows(outcome):
            console.print(f"{durability}, appendfsync {appendfsync}: {what}: {text}", soft_wrap=True)
        for fault in [*outcome.found.lost[:10], *outcome.found.damaged[:10]]:
            console.print(fault, style="red" if name == "disk" else "dim", soft_wrap=True)
        failed |= name == "disk" and bool(outcome.found.lost or outcome.found.damaged)
        files.table(name, (f"`{durability}`, `appendfsync {appendfsync}`", "Count"), rows(outcome))
        files.add(f"{name}_cuts", [outcome.cuts], unit="", label=f"cuts, {name}")
        files.add(f"{name}_answered", [outcome.found.answered], unit="", label=f"changes answered, {name}")
        files.add(f"{name}_lost", [len(outcome.found.lost)], unit="", label=f"changes lost, {name}")
    if asked.flips:
        found = flips.run(asked.flips, seed, log=lambda text: console.print(text, style="dim"))
        table = [(what, str(count)) for what, count in found.outcomes.most_common()]
        table.append(("jobs started with another specification than was submitted", str(len(found.run))))
        for what, text in table:
            console.print(f"one wrong bit: {what}: {text}", soft_wrap=True)
        for place in found.run[:10]:
            console.print(place, style="red", soft_wrap=True)
        failed |= bool(found.run)
        files.table("flips", (f"{asked.flips} wrong bits, one at a time", "Count"), table)
    if asked.name:
        files.write()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
