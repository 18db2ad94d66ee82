"""Separates many tracks: submits, follows and fetches them, at the pace of the service."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from stemline.client.client import Client
from stemline.client.errors import ApiError, ConnectionFailed
from stemline.client.job import Job
from stemline.client.tracks.entry import Entry
from stemline.client.tracks.fetcher import NOT_FETCHED, Fetcher
from stemline.client.tracks.left import has_changed, left
from stemline.client.tracks.manifest import Manifest
from stemline.client.tracks.options import Options, Report
from stemline.client.tracks.pace import Pace
from stemline.client.tracks.sources import Track
from stemline.client.tracks.submitter import Submitter

_THREADS: Final = 4


@dataclass(slots=True)
class Runner:
    """One run over tracks. It may be stopped at any moment, and begun again with the same manifest."""

    client: Client
    manifest: Manifest
    tracks: Sequence[Track]
    options: Options
    report: Report
    stop: threading.Event = field(default_factory=threading.Event)
    _following: dict[str, tuple[Track, Entry]] = field(default_factory=dict)
    """What waits or runs, by the ids of the jobs."""
    _why: str = ""
    """Why no worker takes the jobs, as it was reported last."""
    _pace: Pace = field(init=False)
    """Of all but the submissions."""
    _submitter: Submitter = field(init=False)
    _fetcher: Fetcher = field(init=False)

    def __post_init__(self) -> None:
        """Begin without pauses."""
        submits = Pace(self.stop, self.report.holding)
        self._pace = Pace(self.stop, self.report.holding)
        self._submitter = Submitter(
            self.client, self.manifest, self.options, self.report, submits, self._pace
        )
        self._fetcher = Fetcher(self.client, self.manifest, self.options, self._pace)

    def todo(self) -> list[Track]:
        """Return the tracks for which something is left to be done."""
        options = self.options
        return left(
            self.tracks,
            self.manifest.entries,
            options.folder,
            retry_failed=options.retry_failed,
            waits=options.waits,
        )

    def run(self) -> None:
        """Do everything that is left, and return when it is done.

        Raises:
            Stopped: It was stopped; jobs that were submitted go on.
            AccessDenied: The key pair may not submit jobs.
            OptionsRefused: The service refuses the options of all jobs.
            ConnectionFailed: The service does not answer for a long time.
            TransferFailed: The disk takes no more stems.
            OSError: The manifest cannot be written.
        """
        waiting = iter(self.todo())
        pending: set[Future[None]] = set()
        look_at = 0.0
        with ThreadPoolExecutor(_THREADS) as senders, ThreadPoolExecutor(_THREADS) as fetchers:
            try:
                while True:
                    room = self.options.jobs - len(pending) - len(self._following)
                    pending |= {senders.submit(self._send, track) for track in islice(waiting, max(0, room))}
                    if not pending and not self._following:
                        return
                    if time.monotonic() >= look_at:
                        for track, entry, job in self._ended():
                            pending.add(fetchers.submit(self._finish, track, entry, job))
                        look_at = time.monotonic() + interval_s(len(self._following))
                    pending = _rest(pending, look_at - time.monotonic())
                    self._pace.check()
            finally:
                self.stop.set()
                for future in pending:
                    future.cancel()

    def unfinished(self) -> list[str]:
        """Return the ids of the jobs that are followed."""
        return list(self._following)

    def cancel(self) -> list[str]:
        """Cancel the jobs that are followed, and return their ids; the next run submits their tracks again.

        A job that has ended meanwhile is left as it is; so are all others once the service does not answer.
        """
        cancelled = []
        for job_id, (_, entry) in list(self._following.items()):
            try:
                self.client.cancel(job_id)
            except ConnectionFailed:
                break
            except ApiError:
                continue
            self.manifest.again(entry)
            cancelled.append(job_id)
        return cancelled

    def _send(self, track: Track) -> None:
        """Have a job for a track, that of the manifest or a new one, and follow it."""
        entry = self.manifest.entry(track.id)
        if not _has_job(track, entry):
            entry = self._submitter.submit(track)
        if entry.job and self.options.waits:
            self._following[entry.job] = (track, entry)
            self.report.stage(track.id, "waiting", 0)
        else:
            self.report.ended(entry)

    def _ended(self) -> Iterator[tuple[Track, Entry, Job]]:
        """Yield what has ended and is not followed any more."""
        ids = self.unfinished()
        found = self._pace.retry(lambda: self.client.get_many(ids)) if ids else {}
        self._say_why({job.wait_reason for job in found.values()} - {""})
        for job_id in ids:
            track, entry = self._following[job_id]
            job = found.get(job_id)
            if job is not None and not job.has_ended:
                self.report.stage(track.id, job.stage or job.state, job.progress)
                continue
            del self._following[job_id]
            if job is None:
                why = f"the service does not know job {job_id} any more"
                self.report.ended(self.manifest.failed(entry, "NoSuchJob", why))
            else:
                yield track, entry, job

    def _say_why(self, reasons: set[str]) -> None:
        """Report why no worker takes the jobs, and that one does again."""
        why = min(reasons, default="")
        if why != self._why:
            self._why = why
            self.report.holding(why)

    def _finish(self, track: Track, entry: Entry, job: Job) -> None:
        """Fetch the stems of a job that succeeded; note why another one did not."""
        if job.succeeded:
            self.report.stage(track.id, "downloading", 100)
            ended = self._fetcher.fetch(track, entry, job)
        elif job.state == "Failed":
            ended = self.manifest.failed(entry, job.code, job.message)
        else:
            ended = self.manifest.failed(entry, job.state, "the job was cancelled")
        self.report.ended(ended)


def _has_job(track: Track, entry: Entry) -> bool:
    """Return whether the stems of a track are those of the job that the manifest names."""
    has_ended = entry.state == "done" or entry.code == NOT_FETCHED
    is_that = entry.state == "submitted" or (has_ended and not has_changed(track, entry))
    return bool(entry.job) and is_that


def interval_s(jobs: int) -> float:
    """Return how long to wait before so many jobs are looked at again, s; a request asks about ten."""
    return min(10.0, max(0.5, jobs / 100))


def _rest(pending: set[Future[None]], timeout_s: float) -> set[Future[None]]:
    """Wait until something is done or the time is over, raise its error, and return what is not done."""
    if not pending:
        time.sleep(max(0.0, timeout_s))
        return pending
    done, rest = wait(pending, timeout=max(0.0, timeout_s), return_when=FIRST_COMPLETED)
    for future in done:
        future.result()
    return rest
