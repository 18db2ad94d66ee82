"""Tests that fail are run once more, alone: in which cases, and what is said about them."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tools import run_tests

#: Two tests of which one passes only the second time; each of two runs covers a part of `thing`.
UNSTEADY = """
from pathlib import Path
import thing

def test_steady():
    thing.first()

def test_unsteady():
    before = Path("been").exists()
    Path("been").touch()
    assert before
    thing.second()
"""
THING = "def first():\n    a = 1\n\ndef second():\n    b = 1\n"
#: Stands for pytest: ends as the next entry of `runs.json` says, and notes how it was called.
STAND_IN = """
import json, pathlib, sys
runs = pathlib.Path("runs.json")
now, *later = json.loads(runs.read_text())
runs.write_text(json.dumps(later))
with open("called.txt", "a") as file:
    print(*sys.argv[1:], file=file)
(cache,) = [word.partition("=")[2] for word in sys.argv if word.startswith("cache_dir=")]
failed = pathlib.Path(cache, "v/cache/lastfailed")
failed.parent.mkdir(parents=True, exist_ok=True)
failed.write_text(json.dumps(dict.fromkeys(now["failed"], True)))
for word in sys.argv:
    if word.startswith("--junit-xml="):
        text = '<testsuites><testsuite tests="{}" skipped="{}"/></testsuites>'
        pathlib.Path(word.partition("=")[2]).write_text(text.format(now["tests"], now.get("skipped", 0)))
sys.exit(now["status"])
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty project in the current folder, whose tests this run's own options do not reach."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("PYTEST_", "COV_", "COVERAGE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    handler = signal.getsignal(signal.SIGINT)
    yield tmp_path
    signal.signal(signal.SIGINT, handler)


def run(*runs: dict[str, Any], options: tuple[str, ...] = ()) -> tuple[int, list[str]]:
    """Run the stand-in; return the exit status, and the arguments of each call."""
    Path("runs.json").write_text(json.dumps(runs))
    Path("stand_in.py").write_text(STAND_IN)
    status = run_tests.main([sys.executable, "-S", "stand_in.py", *options])
    return status, Path("called.txt").read_text().splitlines()


def test_what_passes_alone_is_unsteady(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The run of pytest itself succeeds and ends with the test's name; coverage is that of both runs."""
    (project / "thing.py").write_text(THING)
    (project / "test_it.py").write_text(UNSTEADY)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "xdist", "-p", "pytest_cov", "-n", "1"]
    assert 0 == run_tests.main([*command, "--cov=thing", "--cov-fail-under=100"])
    last = "unsteady: test_it.py::test_unsteady failed among the others and passed alone\n"
    assert capfd.readouterr().out.endswith(f"\n{last}")
    assert last == (project / run_tests.FOLDER / "repeated.txt").read_text()


def test_what_fails_twice_fails_the_run(capfd: pytest.CaptureFixture[str]) -> None:
    """A test that fails twice is named, beside one that is unsteady; both were run again alone."""
    first = {"status": 1, "failed": ["a.py::one", "a.py::two"]}
    status, calls = run(first, {"status": 1, "failed": ["a.py::two"], "tests": 2})
    assert (1, 2) == (status, len(calls))
    assert "--last-failed -n 0" in calls[1]
    assert capfd.readouterr().out.endswith(
        "\nunsteady: a.py::one failed among the others and passed alone\nfailed twice: a.py::two\n"
    )


@pytest.mark.parametrize(
    ("status", "failed", "options"),
    [
        (0, [], ()),
        (1, [f"a.py::test_{number}" for number in range(run_tests.MAX_FAILURES + 1)], ()),
        (1, ["a.py"], ()),  # a module that cannot be imported
        (2, ["a.py"], ()),
        (2, ["a.py::one"], ()),  # interrupted
        (1, ["a.py::one"], ("-x",)),
        (1, ["a.py::one"], ("--maxfail=3",)),
        (1, [], ()),  # coverage is below its floor
        (5, [], ()),  # there are no tests
    ],
)
def test_nothing_else_is_repeated(status: int, failed: list[str], options: tuple[str, ...]) -> None:
    """Success, many failures, errors of collection, an interruption and too little coverage end the run."""
    found, calls = run({"status": status, "failed": failed}, options=options)
    assert (status, 1) == (found, len(calls))


def test_what_is_skipped_the_second_time_has_not_passed(capfd: pytest.CaptureFixture[str]) -> None:
    """A test that does not run again has proved nothing, and the run fails."""
    again = {"status": 0, "failed": [], "tests": 1, "skipped": 1}
    status, _ = run({"status": 1, "failed": ["a.py::one"]}, again)
    assert 1 == status
    assert "Not every test that failed was run again." in capfd.readouterr().out


def test_coverage_of_both_runs_counts_where_it_is_counted() -> None:
    """The second run adds to the coverage of the first, unless coverage is off."""
    runs = {"status": 1, "failed": ["a.py::one"]}, {"status": 0, "failed": [], "tests": 1}
    assert "--cov-append" in run(*runs)[1][1]
    Path("called.txt").unlink()
    assert "--cov-append" not in run(*runs, options=("--no-cov",))[1][1]
