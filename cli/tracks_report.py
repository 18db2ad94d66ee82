"""The progress of a run over many tracks: bars on a terminal, otherwise a line for each track that ends."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click

from stemline.cli.job_progress import STAGES
from stemline.cli.output import is_live, printable, screen, span
from stemline.client.tracks.options import Report

if TYPE_CHECKING:
    from stemline.client.tracks.entry import Entry
    from stemline.client.tracks.sources import Track

_BARS: Final = 8
"""Tracks that have a bar of their own."""
_RECENT: Final = 200
"""Tracks from whose ends the speed is calculated."""
_QUIET: Final = frozenset({"waiting", "submitting", "Submitted", "Pause"})
"""Stages of tracks that have no bar."""


class Counts:
    """How many tracks are done, and how fast."""

    def __init__(self, total: int, left: int) -> None:
        self.total = total
        self.ended = total - left
        self._times: deque[float] = deque([time.monotonic()], maxlen=_RECENT)

    def add(self) -> None:
        """Count a track that ended."""
        self.ended += 1
        self._times.append(time.monotonic())

    def speed(self) -> str:
        """Return tracks per minute and the time that is left."""
        seconds = time.monotonic() - self._times[0]
        ends = len(self._times) - 1
        if not ends or seconds <= 0:
            return ""
        left = (self.total - self.ended) * seconds / ends
        return f"{ends * 60 / seconds:.1f} a minute, {span(left)} left"


class _Lines(Report):
    """A line for each track that ends, and for each pause."""

    def __init__(self, counts: Counts, names: Mapping[str, str]) -> None:
        self._counts = counts
        self._names = names
        self._held = ""
        self._lock = threading.Lock()

    def ended(self, entry: Entry) -> None:
        with self._lock:
            self._counts.add()
            done = f"[{self._counts.ended}/{self._counts.total}] {self._names[entry.track]}"
            click.echo(f"{done}: {_outcome(entry)}", err=True)

    def holding(self, why: str) -> None:
        with self._lock:
            reason = why.partition(";")[0]
            if reason and reason != self._held:
                click.echo(printable(why), err=True)
            self._held = reason


class _Bars(Report):
    """A bar for the whole run, and one for each of some tracks that something is done to."""

    def __init__(self, counts: Counts, names: Mapping[str, str], progress: Any, all_tracks: Any) -> None:
        self._counts = counts
        self._names = names
        self._progress = progress
        self._all = all_tracks
        self._tasks: dict[str, Any] = {}
        self._held = ""
        self._lock = threading.Lock()

    def stage(self, track: str, stage: str, percent: float) -> None:
        shown = {"completed": percent, "doing": STAGES.get(stage, stage.lower()), "count": f"{percent:.0f}%"}
        with self._lock:
            task = self._tasks.get(track)
            if stage in _QUIET:
                self._remove(track)
            elif task is not None:
                self._progress.update(task, **shown)
            elif len(self._tasks) < _BARS:
                self._tasks[track] = self._progress.add_task(self._names[track], total=100, **shown)

    def ended(self, entry: Entry) -> None:
        from rich.text import Text

        with self._lock:
            self._counts.add()
            self._remove(entry.track)
            if entry.state == "failed":
                line = f"{self._names[entry.track]}: {_outcome(entry)}"
                self._progress.console.print(Text(line, style="red"), soft_wrap=True)
            self._show()

    def holding(self, why: str) -> None:
        with self._lock:
            self._held = printable(why)
            self._show()

    def _show(self) -> None:
        counts = self._counts
        self._progress.update(self._all, completed=counts.ended)
        done = f"{counts.ended}/{counts.total} tracks"
        speed = counts.speed()
        self._progress.say(f"{done}, {speed}" if speed else done, self._held)

    def _remove(self, track: str) -> None:
        if (task := self._tasks.pop(track, None)) is not None:
            self._progress.remove_task(task)


@contextmanager
def tracks_report(tracks: Sequence[Track], left: int) -> Iterator[Report]:
    """Show the progress of a run for as long as the block runs.

    Args:
        tracks: Tracks of the run.
        left: How many of them have not ended yet.
    """
    counts = Counts(len(tracks), left)
    names = {track.id: printable(track.shown) for track in tracks}
    if not is_live():
        yield _Lines(counts, names)
        return
    from rich.progress import BarColumn, TextColumn
    from rich.table import Column

    from stemline.cli.bars import Bars

    console = screen(stderr=True)
    cut = Column(no_wrap=True, overflow="ellipsis", ratio=2)
    columns: list[Any] = [TextColumn("{task.description}", table_column=cut, markup=False)]
    columns.append(BarColumn(bar_width=None, table_column=Column(ratio=1)))
    if console.width >= 60:
        columns.append(TextColumn("{task.fields[count]}", justify="right"))
    columns.append(
        TextColumn(
            "{task.fields[doing]}",
            markup=False,
            table_column=Column(no_wrap=True, overflow="ellipsis", ratio=2),
        )
    )
    with Bars(*columns, console=console, expand=True, transient=True) as progress:
        whole = progress.add_task(
            "all tracks", total=counts.total, completed=counts.ended, doing="", count=""
        )
        progress.say(f"{counts.ended}/{counts.total} tracks")
        yield _Bars(counts, names, progress, whole)


def _outcome(entry: Entry) -> str:
    if entry.state == "failed":
        return printable(f"{entry.code}: {entry.message}")
    return f"job {entry.job}" if entry.state == "submitted" else "done"
