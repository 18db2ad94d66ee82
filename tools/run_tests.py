"""Run pytest, then the few tests that failed once more, alone.

    python -m tools.run_tests [--folder FOLDER] pytest [ARGUMENT ...]

A test that passes only alone is called unsteady: it is named at the end of the output and must be corrected,
but does not fail the run. A test that fails twice does, and so do more than `MAX_FAILURES` failures, errors
of collection, a crash of pytest, and coverage below its floor. With `-x` or `--maxfail` nothing is repeated,
since not all tests have run. FOLDER gets `repeated.txt`, with the lines that the output ends with.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

#: More failures than these are no accident.
MAX_FAILURES = 5
#: Where pytest remembers what failed. Not its usual cache, which also knows failures of earlier runs.
FOLDER = Path("build/test-run/test")
_FAILED = 1  # pytest's exit status where tests failed or coverage is too low


def main(command: list[str], folder: Path = FOLDER) -> int:
    """Run a pytest command, whose failures are kept in a folder; return the exit status."""
    signal.signal(signal.SIGINT, lambda *_: None)  # pytest gets it too, and ends its servers
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    command = [*command, "-o", f"cache_dir={folder.absolute()}"]
    status = subprocess.call(command)
    failed = _failed(folder)
    if status != _FAILED or _stops_early(command) or not _may_be_repeated(failed):
        return status
    print(f"\n{_tests(failed)} failed; once more, alone:\n", flush=True)
    report = folder / "second.xml"
    alone = ["--last-failed", "-n", "0", f"--junit-xml={report}"]
    status = subprocess.call([*command, *alone, *([] if "--no-cov" in command else ["--cov-append"])])
    again = _failed(folder)
    steady = failed - again
    if steady and status == 0 and _passed(report) != len(failed):
        print("Not every test that failed was run again.")
        status = _FAILED
    lines = [f"unsteady: {test} failed among the others and passed alone" for test in sorted(steady)]
    lines += [f"failed twice: {test}" for test in sorted(again)]
    (folder / "repeated.txt").write_text("".join(f"{line}\n" for line in lines))
    print("", *lines, sep="\n", flush=True)
    return status


def _failed(folder: Path) -> set[str]:
    """Return what failed in the last run: tests, and modules that could not be collected."""
    file = folder / "v/cache/lastfailed"
    return set(json.loads(file.read_text())) if file.exists() else set()


def _may_be_repeated(failed: set[str]) -> bool:
    return 0 < len(failed) <= MAX_FAILURES and all("::" in each for each in failed)


def _stops_early(command: list[str]) -> bool:
    return any(each in {"-x", "--exitfirst"} or each.startswith("--maxfail") for each in command)


def _passed(report: Path) -> int:
    """Return how many tests passed."""
    suites = list(ET.parse(report).iter("testsuite"))  # noqa: S314 - pytest's own
    counts = [{name: int(suite.get(name, 0)) for name in ("tests", "skipped")} for suite in suites]
    return sum(each["tests"] - each["skipped"] for each in counts)


def _tests(failed: set[str]) -> str:
    return "1 test" if len(failed) == 1 else f"{len(failed)} tests"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    given = parser.parse_args()
    sys.exit(main(given.command, given.folder))
