"""The progress of one job: a bar on a terminal, otherwise a line for each change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

from stemline.cli.output import is_live, printable, say, screen, span

if TYPE_CHECKING:
    from stemline.client import Job

_UPLOAD_SHARE: Final = 10.0
_DOWNLOAD_SHARE: Final = 5.0
"""Parts of the bar, percent; the job has the rest."""


STAGES: Final = {
    "wait": "waiting for memory",
    "download": "reading",
    "decode": "decoding",
    "separate": "separating",
    "encode": "encoding",
    "upload": "publishing",
}
"""What a running job does, by its stage."""


class JobProgress:
    """What is known of a job while it is uploaded, waits, runs and is downloaded."""

    def __init__(self, display: Display) -> None:
        self._display = display
        self._size = self._done = 0
        self._start = 0.0

    def begin_upload(self, size: int) -> None:
        """Begin to send a file.

        Args:
            size: Bytes.
        """
        self._size, self._done, self._start = size, 0, _UPLOAD_SHARE
        self._display.show(0, "uploading")

    def uploaded(self, count: int) -> None:
        """Add sent bytes."""
        self._done += count
        self._display.show(_UPLOAD_SHARE * self._done / max(self._size, 1), "uploading")

    def submitted(self, job: Job) -> None:
        """Show the id of the job."""
        self._display.say(f"job {job.id}")
        self._display.show(self._start, "submitted")

    def watched(self, job: Job) -> None:
        """Show a job as it is now."""
        share = (100 - _DOWNLOAD_SHARE - self._start) * (100 if job.succeeded else job.progress) / 100
        self._display.show(self._start + share, _doing(job), eta_s=job.eta_s)

    def begin_download(self, job: Job) -> None:
        """Begin to fetch the stems."""
        self._size, self._done = len(job.stems), 0
        self._display.show(100 - _DOWNLOAD_SHARE, "downloading")

    def downloaded(self, count: int) -> None:
        """Add received bytes, of which the number is not known before."""
        self._done += count
        self._display.show(100 - _DOWNLOAD_SHARE, f"downloading {self._done / 1e6:.1f} MB")


class Display(Protocol):
    """Where progress is shown."""

    def show(self, percent: float, doing: str, *, eta_s: float | None = None) -> None:
        """Show how far it is and what is done."""

    def say(self, line: str) -> None:
        """Print a line that stays."""


class _Bar:
    """One bar with percent and stage; the remaining time is on a line of its own."""

    def __init__(self, progress: Any, task: Any) -> None:
        self._progress, self._task = progress, task

    def show(self, percent: float, doing: str, *, eta_s: float | None = None) -> None:
        known = f", about {span(eta_s)} left" if eta_s else ""
        self._progress.update(self._task, completed=percent)
        self._progress.say(printable(f"{doing}{known}"))

    def say(self, line: str) -> None:
        self._progress.console.print(printable(line), highlight=False, soft_wrap=True)


class _Lines:
    """A line on stderr for each new stage."""

    def __init__(self) -> None:
        self._last = ""

    def show(self, percent: float, doing: str, *, eta_s: float | None = None) -> None:
        del percent, eta_s
        stage = doing.partition(" ")[0]
        if stage != self._last:
            self._last = stage
            say(doing, err=True)

    def say(self, line: str) -> None:
        say(line, err=True)


@contextmanager
def job_progress(name: str) -> Iterator[JobProgress]:
    """Show the progress of a job for as long as the block runs.

    Args:
        name: Name of the source.
    """
    if not is_live():
        yield JobProgress(_Lines())
        return
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
    from rich.table import Column

    from stemline.cli.bars import Bars

    cut = Column(no_wrap=True, overflow="ellipsis", max_width=24)
    columns: list[Any] = [TextColumn("{task.description}", table_column=cut, markup=False)]
    columns += [BarColumn(bar_width=None), TaskProgressColumn()]
    console = screen(stderr=True)
    if console.width >= 60:
        columns.append(TimeElapsedColumn())
    with Bars(*columns, console=console, expand=True, transient=True) as progress:
        task = progress.add_task(name, total=100)
        yield JobProgress(_Bar(progress, task))


def _doing(job: Job) -> str:
    """Return what a job does, in a word or two."""
    if job.wait_reason:
        return f"waiting: {job.wait_reason}"
    if job.state == "Submitted":
        return "waiting" if job.position is None else f"waiting, place {job.position}"
    if job.state == "Pause":
        return "waiting: queue paused"
    if job.state == "Running":
        return STAGES.get(job.stage, "running")
    return job.state.lower()
