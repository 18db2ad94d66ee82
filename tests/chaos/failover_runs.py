"""The runs of ``make failover``: each is kept, and those of one version of Stemline add up."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from benchmarks.report import RESULTS, Report, about_run, runs_of_version

SOURCES: Final = ("tests/chaos/failover.py", "tests/chaos/failover_runs.py", "tests/chaos/trials.py")
_ADDED: Final = (
    *("accepted", "refused", "lost", "lost_cancels", "done_twice", "lasted_s"),
    *("failovers", "states", "replaced_s", "faults"),
)
_HEAD: Final = ("Run", "Durability", "Seed", "Commit", "Load", "Failovers", "Jobs accepted", "Lost", "Faults")


@dataclass
class Outcome:
    """What one or several runs found."""

    durability: str
    seed: int
    failovers: Counter[str] = field(default_factory=Counter)
    lasted_s: float = 0.0
    accepted: int = 0
    refused: int = 0
    lost: int = 0
    """Jobs whose submission was answered with 200 and that do not exist."""
    lost_cancels: int = 0
    """Jobs whose cancellation was answered with 200 and that ended otherwise."""
    done_twice: int = 0
    """Stems that another attempt than the recorded one wrote, or jobs announced with two different ends."""
    replaced_s: list[float] = field(default_factory=list)
    """From each fault to the promotion, s."""
    back_s: dict[str, list[float]] = field(default_factory=dict)
    """From each promotion to the callback of a job that was submitted after it, s, by the fault."""
    states: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Self:
        """Return the outcome of a run that a file keeps."""
        values = {name: kept[name] for name in cls.__dataclass_fields__}
        return cls(**values | {name: Counter(kept[name]) for name in ("failovers", "states")})

    def add(self, other: Outcome) -> None:
        """Add another run."""
        for name in _ADDED:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        kinds = {**self.back_s, **other.back_s}
        self.back_s = {kind: [*self.back_s.get(kind, []), *other.back_s.get(kind, [])] for kind in kinds}

    def rows(self) -> list[tuple[str, str]]:
        """Return a table for people."""
        kinds = ", ".join(f"{name} {count}" for name, count in sorted(self.failovers.items()))
        back = ", ".join(f"{max(times):.1f} s ({kind})" for kind, times in sorted(self.back_s.items()))
        states = " + ".join(f"{self.states[state]} {state}" for state in sorted(self.states))
        return [
            ("failovers", f"{self.failovers.total()} in {self.lasted_s:.0f} s: {kinds}"),
            ("from the fault to the promotion", f"{max(self.replaced_s, default=0.0):.1f} s at most"),
            ("from there to the callback of a job submitted after it", f"at most {back}"),
            ("jobs accepted", f"{self.accepted} = {states}"),
            ("submissions answered with 503 and not repeated", str(self.refused)),
            ("accepted jobs lost", str(self.lost)),
            ("answered cancellations lost", str(self.lost_cancels)),
            ("done twice, as the bucket and the receiver see it", str(self.done_twice)),
            ("faults, the lost ones included", str(len(self.faults))),
        ]


class Runs:
    """The runs of this version that a file of results keeps."""

    def __init__(self, name: str, folder: Path = RESULTS) -> None:
        """Read the file, if it has a name and exists; runs of another version are left out."""
        self._name, self._folder = name, folder
        self._report = Report(name, "Failover behind Sentinels", SOURCES)
        self.kept: list[dict[str, Any]] = runs_of_version(name, folder) if name else []

    def count(self, durability: str) -> int:
        """Return how many failovers there were with a durability."""
        return sum(sum(run["failovers"].values()) for run in self.kept if run["durability"] == durability)

    def add(self, outcome: Outcome) -> None:
        """Keep one more run, and write the file if it has a name."""
        self.kept.append({**about_run(), "load": round(os.getloadavg()[0], 1), **vars(outcome)})
        if self._name:
            self._write()

    def total(self, durability: str) -> Outcome | None:
        """Return the sum of all runs with a durability, if there are any."""
        runs = [Outcome.of(run) for run in self.kept if run["durability"] == durability]
        for other in runs[1:]:
            runs[0].add(other)
        return runs[0] if runs else None

    def _write(self) -> None:
        report = self._report
        report.runs = self.kept
        for durability in ("replica", "process"):
            total = self.total(durability)
            if total is None:
                continue
            label = f"durability {durability}"
            report.table(durability, (f"`STEMLINE_DURABILITY={durability}`", "Count"), total.rows())
            count, times = total.failovers.total(), [each for some in total.back_s.values() for each in some]
            report.add(f"{durability}_failovers", [count], unit="", label=f"failovers, {label}")
            report.add(f"{durability}_lost", [total.lost], unit="", label=f"accepted jobs lost, {label}")
            report.add(f"{durability}_back", times, unit="s", label=f"promotion to callback, {label}")
        report.table("runs", _HEAD, [_row(number, run) for number, run in enumerate(self.kept, 1)])
        report.write(self._folder)


def _row(number: int, run: Mapping[str, Any]) -> Sequence[str]:
    counts = (sum(run["failovers"].values()), run["accepted"], run["lost"], len(run["faults"]))
    about = (run["durability"], run["seed"], run["commit"], run["load"])
    return [str(each) for each in (number, *about, *counts)]
