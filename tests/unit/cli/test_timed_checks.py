"""The checks of `stemline doctor` run within their times, whatever they ask."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from stemline.cli.checks import CHECKS
from stemline.cli.checks.findings import CheckContext, Finding, Verdict, ok
from stemline.cli.checks.timed import LOCAL, LOCAL_S, SERVER_S, limit_of, run_checks
from stemline.cli.doctor import doctor
from stemline.runtime.extras import MODULES, extra_of
from stemline.runtime.settings import Settings

CONTEXT = CheckContext(Settings())


@pytest.fixture
def hung() -> Iterator[threading.Event]:
    """What a check waits for that hangs, until the end of the test."""
    event = threading.Event()
    yield event
    event.set()


def test_a_check_that_hangs_is_reported_and_left(hung: threading.Event) -> None:
    """Its line says how long it was waited for and what to look at; what it found before is kept."""

    def hangs(_: CheckContext) -> Iterator[Finding]:
        yield ok("store", "first")
        hung.wait()

    found, all_ended = run_checks(
        {"store": hangs, "scratch": lambda _: iter([ok("scratch", "second")])}, CONTEXT, lambda _: 0.05
    )
    assert not all_ended
    assert ["first", "the check did not end within 0.05 s", "second"] == [each.message for each in found]
    assert Verdict.ERROR is found[1].verdict
    assert "STEMLINE_REDIS_URL" in found[1].fix


@pytest.mark.parametrize("extra", MODULES)
def test_a_check_without_its_packages_is_left_out(extra: str) -> None:
    """Servers have the packages of their part alone: what belongs to another one is no error there."""
    module = MODULES[extra][0]

    def needs(_: CheckContext) -> Iterator[Finding]:
        yield ok("service", "first")
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    found, _ = run_checks({"service": needs}, CONTEXT)
    said = f"the extra `{extra_of(module)}` is not installed here"
    assert [("first", Verdict.OK), (said, Verdict.SKIPPED)] == [
        (each.message, each.verdict) for each in found
    ]


def test_a_check_that_fails_hides_no_other() -> None:
    """An error that a check does not expect is a line of the report, in words."""

    def fails(_: CheckContext) -> Iterator[Finding]:
        yield {"x": ok("store", "never")}["y"]

    found, all_ended = run_checks(
        {"store": fails, "scratch": lambda _: iter([ok("scratch", "second")])}, CONTEXT
    )
    assert all_ended
    assert ["the check failed: an unexpected fault of this program", "second"] == [
        each.message for each in found
    ]
    assert found[0].fix


def test_the_help_says_the_times() -> None:
    """Each check has a time, the longest of which is the time of the whole report."""
    assert {SERVER_S, LOCAL_S} == {limit_of(name) for name in CHECKS}
    assert set(CHECKS) >= LOCAL
    text = " ".join((doctor.help or "").split())
    assert f"after {SERVER_S:g} seconds (weights and device: {LOCAL_S:g})" in text
    assert ", ".join(list(CHECKS)[:-1]) + f" and {list(CHECKS)[-1]}" in text


_PROGRAM = """
import threading
from stemline.cli.exits import EndedAtOnce, ended_at_once

threading.Thread(target=threading.Event().wait).start()
with ended_at_once():
    print("reported")
    raise EndedAtOnce(1)
"""


def test_the_program_does_not_wait_for_a_check_that_hangs() -> None:
    """It prints all and ends with its status."""
    ended = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=False)
    assert (1, "reported\n", "") == (ended.returncode, ended.stdout, ended.stderr)
