"""Which jobs `fetch` takes the stems of, and why others have none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from time import sleep
from typing import TYPE_CHECKING, Final

import click

from stemline.cli.ended_bar import ended_bar
from stemline.cli.exits import CommandFailed
from stemline.cli.job_progress import job_progress
from stemline.cli.output import counted, printable
from stemline.cli.statuses import FAILED, NOT_FOUND

if TYPE_CHECKING:
    from stemline.client import Batch, Client, Job

_MAX_NAMED: Final = 10
"""Jobs of a batch that are named one by one."""
_WAIT: Final = "--wait waits for what has not ended"


@dataclass
class Fetchable:
    """Jobs that have stems, and what is said of the others.

    Attributes:
        jobs: Jobs that have succeeded.
        without: How many jobs or rows have no stems here.
        statuses: Exit statuses of these.
        hints: What to do about them, each once.
    """

    jobs: list[Job] = field(default_factory=list)
    without: int = 0
    statuses: set[int] = field(default_factory=set)
    hints: dict[str, None] = field(default_factory=dict)
    _lines: list[str] = field(default_factory=list)

    def miss(self, line: str, hint: str, *, status: int = FAILED, count: int = 1) -> None:
        """Note why stems of some jobs are not fetched, and what to do about it."""
        self._lines.append(line)
        self.without += count
        self.statuses.add(status)
        self.hints[hint] = None

    def end(self) -> None:
        """End the command with an error if there is a job without stems, and name each.

        Raises:
            CommandFailed: There is one.
        """
        if not self._lines:
            return
        *others, last = self._lines
        if others or len(self.jobs) > 0:
            for line in self._lines:
                click.echo(printable(line), err=True)
            last = f"the stems of {counted(self.without, 'job')} were not fetched"
        status = self.statuses.pop() if len(self.statuses) == 1 else FAILED
        raise CommandFailed(last, hint="; ".join(self.hints), status=status)


def named(client: Client, ids: Sequence[str], *, wait: bool) -> Fetchable:
    """Return jobs by their ids."""
    names = list(dict.fromkeys(ids))
    found = client.get_many(names)
    if wait:
        _wait_for(client, found)
    chosen = Fetchable()
    for each in names:
        job = found.get(each)
        if job is None:
            hint = f"`stemline jobs` lists those of {client.target.bucket}"
            chosen.miss(f"there is no job {each}", hint, status=NOT_FOUND)
        else:
            _sort(chosen, job)
    return chosen


def of_batch(client: Client, batch_id: str, *, wait: bool) -> Fetchable:
    """Return the jobs of a batch.

    Raises:
        NotFound: There is no such batch.
    """
    batch = client.batch(batch_id)
    if wait:
        with ended_bar(batch.name or batch.id, batch.rows, what="rows") as show:
            batch = client.wait_batch(batch.id, on_change=lambda each: show(_ended(each)))
    chosen = Fetchable(list(client.list(batch=batch.id, states=["Success"], oldest_first=True)))
    over = client.list(batch=batch.id, states=["Failed", "Cancel"], oldest_first=True)
    final = list(islice((job for job in over if not job.retried_by), _MAX_NAMED))
    for job in final:
        _sort(chosen, job)
    if (more := batch.failed + batch.cancelled - len(final)) > 0:
        hint = f"`stemline jobs --batch {batch.id} --state Failed` says why"
        chosen.miss(f"{counted(more, 'other row')} failed or cancelled", hint, count=more)
    if left := batch.waiting + batch.running:
        verb = "has" if left == 1 else "have"
        chosen.miss(f"{counted(left, 'row')} of batch {batch.id} {verb} not ended", _WAIT, count=left)
    return chosen


def _sort(chosen: Fetchable, job: Job) -> None:
    if job.succeeded:
        chosen.jobs.append(job)
        return
    reason = f": {job.code}: {job.message}" if job.state == "Failed" else ""
    hint = f"`stemline job {job.id}` says why it has no stems" if job.has_ended else _WAIT
    chosen.miss(f"job {job.id} is {job.state}{reason}; it has no stems", hint)


def _wait_for(client: Client, jobs: dict[str, Job]) -> None:
    """Wait until jobs have ended; those that the service forgets meanwhile are taken out."""
    from stemline.client import NotFound
    from stemline.client.tracks.runner import interval_s

    if len(jobs) == 1:
        (job,) = jobs.values()
        if not job.has_ended:
            with job_progress(name=printable(job.source.rpartition("/")[2])) as progress:
                try:
                    jobs[job.id] = client.wait(job.id, check=False, on_change=progress.watched)
                except NotFound:
                    del jobs[job.id]
        return
    left = [job.id for job in jobs.values() if not job.has_ended]
    if not left:
        return
    with ended_bar("waiting", len(jobs)) as show:
        while left:
            show(len(jobs) - len(left))
            sleep(interval_s(len(left)))
            now = client.get_many(left)
            for job_id in left:
                if job_id in now:
                    jobs[job_id] = now[job_id]
                else:
                    del jobs[job_id]
            left = [job.id for job in jobs.values() if not job.has_ended]
        show(len(jobs))


def _ended(batch: Batch) -> int:
    return batch.succeeded + batch.failed + batch.cancelled
