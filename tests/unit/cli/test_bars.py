"""Bars on narrow terminals: what is said about the whole run is never cut."""

from __future__ import annotations

import io

import pytest
from rich.console import Console, Group

from stemline.cli import job_progress, tracks_report
from stemline.cli.bars import Bars
from stemline.client import Job
from stemline.client.tracks.entry import Entry

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
    with tracks_report.tracks_report(10_000, 8_766) as report:
        for number in range(39):
            report.ended(Entry(f"{number}.flac", "done"))
        report.stage("album/disc1/77 a song of a usual length.flac", "separate", 40)
        report.holding(WHY)
        shown = drawn(report._progress, console.width)  # type: ignore[attr-defined]
    assert "1273/10000 tracks, 37.5 a minute, 3 h 53 min left" in shown
    assert WHY in shown


def test_the_place_and_the_time_of_a_job_are_whole(console: Console) -> None:
    """What one job does and how long it takes is there at every width."""
    with job_progress.job_progress("a song with a name of a usual length.flac") as progress:
        bars = progress._display._progress  # type: ignore[attr-defined]
        progress.watched(Job("j", "Submitted", "s", position=1234))
        assert "waiting, place 1234" in drawn(bars, console.width)
        progress._display.show(40, "separating", eta_s=7384)
        assert "separating, about 2 h 03 min left" in drawn(bars, console.width)
