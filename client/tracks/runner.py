"""Separates many tracks: sends, submits, follows and fetches them, at the pace of the service."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

from stemline.client.client import Client
from stemline.client.errors import ApiError, TransferFailed
from stemline.client.names import DEFAULT_PATTERN, safe_name
from stemline.client.submission import Submission
from stemline.client.tracks.manifest import Entry, Manifest, digest
from stemline.client.tracks.pace import Pace
from stemline.client.tracks.sources import Track
from stemline.client.values import Job

_KEY_IS_KEPT_S: Final = 20 * 3600
"""The service keeps an Idempotency-Key for a day; after this time it is looked for the job itself."""
_THREADS: Final = 4
_TRIES: Final = 5
_NOT_FETCHED: Final = "NotFetched"
"""Code of a track whose job succeeded and whose stems are still in the bucket alone."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a run is done."""

    parameters: Mapping[str, Any]
    """Of :class:`Submission`."""
    folder: Path
    """Of the stems."""
    pattern: str = DEFAULT_PATTERN
    jobs: int = 100
    """Tracks that are sent, wait, run or are fetched at the same time."""
    retry_failed: bool = False
    waits: bool = True
    """Whether jobs are followed and their stems fetched."""


class Report:
    """What a run tells; every method may be called from several threads."""

    def stage(self, track: str, stage: str, percent: float) -> None:
        """Tell what is done to a track, and how far its job is."""

    def ended(self, entry: Entry) -> None:
        """Tell that nothing is left to be done for a track."""

    def holding(self, why: str) -> None:
        """Tell why nothing is submitted at the moment; empty once it goes on."""


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
    _submits: Pace = field(init=False)
    _reads: Pace = field(init=False)
    """A full queue holds submissions, and nothing else."""

    def __post_init__(self) -> None:
        """Begin without pauses."""
        self._submits = Pace(self.stop, self.report.holding)
        self._reads = Pace(self.stop, self.report.holding)

    def todo(self) -> list[Track]:
        """Return the tracks for which something is left to be done."""
        over = {"done"} if self.options.retry_failed else {"done", "failed"}
        return [track for track in self.tracks if self.manifest.entry(track.id).state not in over]

    def run(self) -> None:
        """Do everything that is left, and return when it is done.

        Raises:
            Stopped: it was stopped; jobs that were submitted go on.
            AccessDenied: the key pair may not submit jobs.
            ConnectionFailed: the service does not answer for a long time.
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
                    self._reads.check()
            finally:
                self.stop.set()
                for future in pending:
                    future.cancel()

    def unfinished(self) -> list[str]:
        """Return the ids of the jobs that are followed."""
        return list(self._following)

    def _send(self, track: Track) -> None:
        """Have a job for a track: that of the manifest, or a new one."""
        entry = self.manifest.entry(track.id)
        if entry.job and (entry.state == "submitted" or entry.code == _NOT_FETCHED):
            self._follow(track, entry)
            return
        if entry.state not in {"sending", "sent"}:
            turn = entry.turn + 1 if entry.state == "failed" else 1
            entry = self.manifest.begin(track.id, track.key or self._upload_key(track), turn=turn)
        try:
            if entry.state == "sending":
                entry = self.manifest.sent(entry, self._uploaded(track, entry))
            self._follow(track, self.manifest.submitted(entry, self._job_of(track, entry)))
        except TransferFailed as error:
            self._failed(entry, "NotUploaded", str(error))
        except ApiError as error:
            if error.status == 403:
                raise
            self._failed(entry, error.code, error.message)

    def _upload_key(self, track: Track) -> str:
        return f"uploads/{self.manifest.run_id}/{digest(track.id)}/{safe_name(track.file_name)}"

    def _uploaded(self, track: Track, entry: Entry) -> str:
        """Return the key of a track's object, which is sent unless it is in the bucket already."""
        if track.path is None:
            return track.key
        path = track.path
        self.report.stage(track.id, "uploading", 0)
        return self._reads.patiently(
            lambda: self.client.upload(path, entry.key, progress=self._reads.check), tries=_TRIES
        )

    def _job_of(self, track: Track, entry: Entry) -> str:
        """Return the id of a track's job, which is made unless it is there."""
        submission = self._submission(entry)
        if time.time() - entry.at > _KEY_IS_KEPT_S:
            place = str(submission.output).partition("{")[0]
            for job in self.client.list(source=entry.key):
                if all(key.startswith(place) for key in job.outputs.values()):
                    return job.id
        self.report.stage(track.id, "submitting", 0)
        key = self.manifest.idempotency_key(entry)
        return self._submits.patiently(lambda: self.client.submit_as(submission, idempotency_key=key)).id

    def _submission(self, entry: Entry) -> Submission:
        output = f"stems/{self.manifest.run_id}/{digest(entry.track)}-{entry.turn}/{{stem}}.${{ext}}"
        return Submission(entry.key, **{**self.options.parameters, "output": output})

    def _follow(self, track: Track, entry: Entry) -> None:
        if self.options.waits:
            self._following[entry.job] = (track, entry)
            self.report.stage(track.id, "waiting", 0)
        else:
            self.report.ended(entry)

    def _ended(self) -> Iterator[tuple[Track, Entry, Job]]:
        """Yield what has ended and is not followed any more."""
        ids = self.unfinished()
        found = self._reads.patiently(lambda: self.client.get_many(ids)) if ids else {}
        for job_id in ids:
            track, entry = self._following[job_id]
            job = found.get(job_id)
            if job is not None and not job.has_ended:
                self.report.stage(track.id, job.stage or job.state, job.progress)
                continue
            del self._following[job_id]
            if job is None:
                self._failed(entry, "NoSuchJob", f"the service does not know job {job_id} any more")
            else:
                yield track, entry, job

    def _finish(self, track: Track, entry: Entry, job: Job) -> None:
        """Fetch the stems of a job that succeeded; note why another one did not."""
        if not job.succeeded:
            is_failed = job.state == "Failed"
            self._failed(
                entry,
                job.code if is_failed else job.state,
                job.message if is_failed else "the job was cancelled",
            )
            return
        self.report.stage(track.id, "downloading", 100)
        folder, pattern = self.options.folder, self.options.pattern
        try:
            files = self._reads.patiently(
                lambda: self.client.download(
                    job, folder, pattern=pattern, values=track.values, progress=self._reads.check
                ),
                tries=_TRIES,
            )
        except (TransferFailed, ApiError) as error:
            self._failed(entry, _NOT_FETCHED, str(error))
            return
        names = {stem: str(path.relative_to(folder)) for stem, path in files.items()}
        done = replace(entry, state="done", code="", message="", duration_s=job.duration_s, files=names)
        self.report.ended(self.manifest.put(done))

    def _failed(self, entry: Entry, code: str, message: str) -> None:
        self.report.ended(self.manifest.put(replace(entry, state="failed", code=code, message=message)))


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
