"""The runs of ``make simulate`` that a file of results keeps: those of one version of Stemline add up."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks.report import RESULTS, Report, about_run, runs_of_version

SEEDS: Final = 1_000_000
"""Between the first seeds of different processes."""
_HEAD: Final = ("Seeds", "Date", "Commit", "Runs", "Steps", "Processor time, s")
SOURCES: Final = tuple(
    f"tests/simulation/{name}"
    for name in (
        *("choices.py", "scheduler.py", "store.py", "valkey.py", "commands.lua", "sorted_sets.lua"),
        *("bucket.py", "broker.py", "api.py", "clients.py", "world.py"),
        *("properties.py", "batch_properties.py", "run.py"),
    )
)


class KeptRuns:
    """What is in a file of results, to which several processes may add at the same time."""

    def __init__(self, name: str, folder: Path = RESULTS) -> None:
        """Name the file; without a name nothing is kept."""
        self._name, self._folder = name, folder

    def first_seed(self, seed: int) -> int:
        """Return the first seed from this one on whose process has not made it yet."""
        ends = [run["seed"] + run["runs"] for run in self._read() if seed <= run["seed"] < seed + SEEDS]
        return max(ends, default=seed)

    def add(self, *, seed: int, runs: int, steps: int, cpu_s: float) -> None:
        """Add runs that broke no promise.

        Args:
            seed: Of the first; later ones count on.
            runs: How many.
            steps: Of all together.
            cpu_s: Processor time, s, without that of a real Valkey.
        """
        if not self._name:
            return
        with self._locked():
            found = {"seed": seed, "runs": runs, "steps": steps, "cpu_s": round(cpu_s, 1)}
            self._write(_joined([*self._read(), {**about_run(), **found}]))

    def _read(self) -> list[dict[str, Any]]:
        return runs_of_version(self._name, self._folder) if self._name else []

    def _write(self, kept: list[dict[str, Any]]) -> None:
        report = Report(self._name, "The service in virtual time, from many seeds", SOURCES)
        report.runs = kept
        total = {key: sum(run[key] for run in kept) for key in ("steps", "runs", "cpu_s")}
        report.add("steps", [total["steps"]], unit="", label="steps without a broken promise")
        report.add("runs", [total["runs"]], unit="", label="runs")
        report.add("cpu", [total["cpu_s"]], unit="s", label="processor time, without that of a real Valkey")
        report.table("runs", _HEAD, [_row(run) for run in kept])
        report.write(self._folder)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._folder.mkdir(exist_ok=True)
        with (self._folder / f".{self._name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _joined(kept: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the runs by seed, with one entry for those of one commit whose seeds follow each other."""
    joined: list[dict[str, Any]] = []
    for run in sorted(kept, key=lambda run: run["seed"]):
        last = joined[-1] if joined else None
        if last and last["seed"] + last["runs"] == run["seed"] and last["commit"] == run["commit"]:
            last |= {key: last[key] + run[key] for key in ("runs", "steps", "cpu_s")} | {"date": run["date"]}
        else:
            joined.append(dict(run))
    return joined


def _row(run: Mapping[str, Any]) -> list[str]:
    seeds = f"{run['seed']:,} to {run['seed'] + run['runs'] - 1:,}"
    return [
        *(seeds, run["date"], run["commit"]),
        *(f"{run['runs']:,}", f"{run['steps']:,}", f"{run['cpu_s']:,.0f}"),
    ]
