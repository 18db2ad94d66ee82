"""How soon ``make simulate`` found planted mistakes: first seeds of one version add up in a file."""

from __future__ import annotations

import fcntl
import statistics
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, Final

from benchmarks.report import RESULTS, Report, about_run, runs_of_version
from tests.simulation.kept_runs import SOURCES
from tests.simulation.mistakes import MISTAKES

_PLANTED: Final = ("tests/simulation/mistake.py", "tests/simulation/mistakes.py")


class KeptMistakes:
    """What is in a file of results, to which several processes may add at the same time."""

    def __init__(self, name: str, folder: Path = RESULTS) -> None:
        """Name the file; without a name nothing is kept."""
        self._name, self._folder = name, folder

    def steps(self, mistake: str) -> list[int]:
        """Return how many steps found a mistake, from each of the first seeds that were taken."""
        return _by_mistake(runs_of_version(self._name, self._folder) if self._name else []).get(mistake, [])

    def add(self, mistake: str, steps: list[int]) -> None:
        """Add how many steps found a mistake from the next first seeds."""
        if not self._name or not steps:
            return
        self._folder.mkdir(exist_ok=True)
        with (self._folder / f".{self._name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            kept = runs_of_version(self._name, self._folder)
            self._write([*kept, {**about_run(), "mistake": mistake, "steps": steps}])

    def _write(self, kept: list[dict[str, Any]]) -> None:
        found = _by_mistake(kept)
        report = Report(self._name, "Steps in which planted mistakes are found", (*SOURCES, *_PLANTED))
        report.runs = kept
        rows = [(each.name, *_row(found[each.name])) for each in MISTAKES if each.name in found]
        report.table("mistakes", ("Mistake", "Steps to find it, median", "First seeds"), rows)
        report.add("mistakes", [len(rows)], unit="", label="planted mistakes that were found")
        with redirect_stdout(StringIO()):  # it would print the whole table for each mistake
            report.write(self._folder)


def _by_mistake(kept: list[dict[str, Any]]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for run in kept:
        found.setdefault(run["mistake"], []).extend(run["steps"])
    return found


def _row(steps: list[int]) -> tuple[str, str]:
    return f"{statistics.median(steps):,.0f}", str(len(steps))
