"""Bars on narrow terminals: what is said about the whole run is never cut."""

from __future__ import annotations

import io
import os
import pty
import re
import sys
from pathlib import Path

import pytest
from rich.console import Console, Group

from stemline.cli import job_progress, tracks_report
from stemline.cli.bars import Bars
from stemline.client import Job
from stemline.client.tracks.entry import Entry
from stemline.client.tracks.sources import Track
from tests.paths import REPOSITORY

WIDTHS = [40, 60, 80, 100]
WHY = "The queue has reached its limit of waiting jobs. (SlowDown); trying again in 30 s"


@pytest.fixture(params=WIDTHS)
def console(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Console:
    """A terminal of this width, which the command draws on."""
    made = Console(width=request.param, height=40, force_terminal=True, file=io.StringIO())
    for module in (job_progress, tracks_report):
        monkeypatch.setattr(module, "is_live", lambda: True)
        monkeypatch.setattr(module, "screen", lambda **_: made)
    return made


def drawn(bars: Bars, width: int) -> str:
    """What the bars look like now, with one space where a line is wrapped."""
    console = Console(width=width, height=40, file=io.StringIO())
    with console.capture() as captured:
        console.print(Group(*bars.get_renderables()))
    return " ".join(captured.get().split())


def test_the_time_and_the_reason_of_a_run_are_whole(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tracks a minute, the time that is left and the reason of a pause are there at every width."""
    monkeypatch.setattr(tracks_report.Counts, "speed", lambda _: "37.5 a minute, 3 h 53 min left")
    tracks = [Track(f"{number}.flac") for number in range(10_000)]
    with tracks_report.tracks_report(tracks, 8_766) as report:
        for number in range(39):
            report.ended(Entry(f"{number}.flac", "done"))
        report.stage("77.flac", "separate", 40)
        report.holding(WHY)
        shown = drawn(report._progress, console.width)  # type: ignore[attr-defined]
    assert "1273/10000 tracks, 37.5 a minute, 3 h 53 min left" in shown
    assert WHY in shown


def test_a_track_is_named_as_it_was_given(console: Console) -> None:
    """The manifest has whole paths of files that were named one by one; people see what they wrote."""
    given = Track("/home/me/music/1 a.mp3", path=Path("../music/1 a.mp3"))
    found = Track("disc1/2.mp3", path=Path("music/disc1/2.mp3"))
    with tracks_report.tracks_report([given, found], 2) as report:
        report.stage(given.id, "separate", 40)
        report.stage(found.id, "separate", 40)
        shown = drawn(report._progress, console.width)  # type: ignore[attr-defined]
        console.begin_capture()
        report.ended(Entry(given.id, "failed", code="Cancel", message="why"))
        said = console.end_capture()
    assert "../music/1" in shown
    assert "disc1/2.mp3" in shown
    assert "/home" not in f"{shown}{said}"
    assert "../music/1 a.mp3: Cancel: why" in said


@pytest.mark.parametrize("is_live", [False, True])
def test_a_job_that_no_worker_takes_says_so(
    is_live: bool, console: Console, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The bar, or a line, says why nothing happens, and where the job is once a worker takes it."""
    monkeypatch.setattr(job_progress, "is_live", lambda: is_live)
    reason = "No worker that separates is running."
    with job_progress.job_progress("a.flac") as progress:
        shown = []
        for why in (reason, reason, ""):
            progress.watched(Job("j", "Submitted", "s", position=1, wait_reason=why))
            if is_live:
                shown.append(drawn(progress._display._progress, console.width))  # type: ignore[attr-defined]
    lines = capsys.readouterr().err.splitlines()
    if is_live:
        assert [True, True, False] == ["waiting: No worker that" in each for each in shown]
    else:
        assert [f"waiting: {reason}", "waiting, place 1"] == lines


def test_the_place_and_the_time_of_a_job_are_whole(console: Console) -> None:
    """What one job does and how long it takes is there at every width."""
    with job_progress.job_progress("a song with a name of a usual length.flac") as progress:
        bars = progress._display._progress  # type: ignore[attr-defined]
        progress.watched(Job("j", "Submitted", "s", position=1234))
        assert "waiting, place 1234" in drawn(bars, console.width)
        progress._display.show(40, "separating", eta_s=7384)
        assert "separating, about 2 h 03 min left" in drawn(bars, console.width)


DRAWING = """
import sys
from rich.console import Console
from stemline.cli.bars import Bars, Redrawn

console = Console(force_terminal=True, width=40)
for drawn in (Bars(console=console, auto_refresh=False), Redrawn(console)):
    with drawn:
        print("drawn", flush=True)
        print("pressed", sys.stdin.readline().strip(), flush=True)
print("ended", flush=True)
print("pressed", sys.stdin.readline().strip(), flush=True)
"""


def test_keys_are_not_printed_into_what_is_drawn() -> None:
    """The terminal prints no keys while something is drawn on it, and prints them again afterwards."""
    process, terminal = pty.fork()
    if process == 0:
        os.execv(sys.executable, [sys.executable, "-c", DRAWING])
    shown = b""

    def read(until: bytes) -> bytes:
        nonlocal shown
        while until not in shown:
            shown += os.read(terminal, 4096)
        before, _, shown = shown.partition(until)
        return before

    for word in (b"first", b"second"):
        read(b"drawn")
        os.write(terminal, word + b"\n")
        assert word not in read(b"pressed " + word)
    read(b"ended")
    os.write(terminal, b"third\n")
    assert b"third" in read(b"pressed third")
    os.close(terminal)
    os.waitpid(process, 0)


def test_everything_that_is_drawn_again_prints_no_keys() -> None:
    """Commands draw with the classes that see to it alone."""
    folder = REPOSITORY / "cli"
    imports = re.compile(r"^\s*from rich\.(?:live|progress) import .*\b(?:Live|Progress)\b", re.MULTILINE)
    assert [folder / "bars.py"] == [path for path in folder.rglob("*.py") if imports.search(path.read_text())]
