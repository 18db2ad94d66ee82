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
from stemline.client.errors import (
    ApiError,
    ClientError,
    ConnectionFailed,
    ObjectMissing,
    StoreRefused,
    TransferFailed,
)
from stemline.client.job import Job
from stemline.client.names import DEFAULT_PATTERN, check_free, file_names, is_utf8, safe_name
from stemline.client.submission import Submission
from stemline.client.tracks.left import check_untouched, has_changed, left, size_of
from stemline.client.tracks.manifest import Entry, Manifest, digest
from stemline.client.tracks.pace import Pace, Stopped, has_no_room
from stemline.client.tracks.sources import Track

_KEY_IS_KEPT_S: Final = 20 * 3600
"""The service keeps an Idempotency-Key for a day; after this time it is looked for the job itself."""
_THREADS: Final = 4
_TRIES: Final = 5
_NOT_THERE: Final = "NotThere"
"""Code of a track whose job succeeded and whose stems are in the bucket no more."""
_NOT_FETCHED: Final = "NotFetched"
"""Code of a track whose job succeeded and whose stems are still in the bucket alone."""


class OptionsRefused(ClientError):
    """The service refuses what every job of the run asks for; no job was made with it.

    Attributes:
        cause: what it answered.
    """

    def __init__(self, cause: ApiError) -> None:
        super().__init__(str(cause))
        self.cause = cause


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
    """Whether the tracks that failed, and only these, are tried again."""
    waits: bool = True
    """Whether jobs are followed and their stems fetched."""
    overwrite: bool = False
    """Whether stems may replace files that are not theirs."""


class Report:
    """What a run reports; every method may be called from several threads."""

    def stage(self, track: str, stage: str, percent: float) -> None:
        """Report what is done to a track, and how far its job is."""

    def ended(self, entry: Entry) -> None:
        """Report that nothing is left to be done for a track."""

    def holding(self, why: str) -> None:
        """Report why nothing is submitted at the moment; empty once it goes on."""


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
    _refused: threading.Event = field(default_factory=threading.Event)
    _submits: Pace = field(init=False)
    _reads: Pace = field(init=False)
    """A full queue holds submissions, and nothing else."""
    _asked: set[str] = field(default_factory=set)
    """Tracks for which a job was asked for: one may be there, whatever was answered."""

    def __post_init__(self) -> None:
        """Begin without pauses."""
        self._submits = Pace(self.stop, self.report.holding)
        self._reads = Pace(self.stop, self.report.holding)

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
            Stopped: it was stopped; jobs that were submitted go on.
            AccessDenied: the key pair may not submit jobs.
            OptionsRefused: the service refuses the options of all jobs.
            ConnectionFailed: the service does not answer for a long time.
            TransferFailed: the disk takes no more stems.
            OSError: the manifest cannot be written.
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
        """Have a job for a track: that of the manifest, or a new one."""
        entry = self.manifest.entry(track.id)
        is_fetched = entry.state == "done" and not has_changed(track, entry)
        if entry.job and (entry.state == "submitted" or entry.code == _NOT_FETCHED or is_fetched):
            self._follow(track, entry)
            return
        if entry.state not in {"sending", "sent"}:
            entry = self._begin(track, entry)
        try:
            if entry.state == "sending":
                entry = self.manifest.sent(entry, self._uploaded(track, entry))
            self._follow(track, self.manifest.submitted(entry, self._job_of(track, entry)))
        except StoreRefused:
            raise
        except TransferFailed as error:
            self._failed(entry, "NotUploaded", str(error))
        except ApiError as error:
            if error.status == 403:
                raise
            self._check_options(entry, error)
            self._failed(entry, error.code, error.message)
        except Stopped:
            if self._refused.is_set() and entry.track not in self._asked:
                self.manifest.unsent(entry)
            raise

    def _begin(self, track: Track, entry: Entry) -> Entry:
        """Begin the first turn of a track, or another one; stems of an earlier one remain its own."""
        key = track.key or self._upload_key(track)
        turn = 1 if entry.state == "new" else entry.turn + 1
        begun = replace(entry, turn=turn, folder=track.folder, name=track.name, stamp=track.stamp)
        return self.manifest.begin(begun, key)

    def _check_options(self, entry: Entry, error: ApiError) -> None:
        """End the run if a submission was refused for what all of them ask for.

        Raises:
            OptionsRefused: every other one would be refused too.
        """
        if error.status >= 500:
            return
        try:
            self.client.dry_run("source", probe=False, **self.options.parameters)
        except ApiError as refusal:
            if refusal.status < 500:
                self._refused.set()
                self.manifest.unsent(entry)
                raise OptionsRefused(refusal) from error

    def _upload_key(self, track: Track) -> str:
        return f"uploads/{self.manifest.run_id}/{digest(track.id)}/{safe_name(track.file_name)}"

    def _uploaded(self, track: Track, entry: Entry) -> str:
        """Return the key of a track's object, which is sent unless it is in the bucket already."""
        if track.path is None:
            if not is_utf8(track.key):
                raise TransferFailed("there is no such file, and no object has a name that is not UTF-8")
            return track.key
        path = track.path
        self.report.stage(track.id, "uploading", 0)
        return self._reads.retry(
            lambda: self.client.upload(path, entry.key, progress=self._reads.check), tries=_TRIES
        )

    def _job_of(self, track: Track, entry: Entry) -> str:
        """Return the id of a track's job, which is made unless it is there."""
        submission = self._submission(entry)
        if time.time() - entry.at > _KEY_IS_KEPT_S:
            place = str(submission.output).partition("{")[0]
            if known := self._reads.retry(lambda: self._known_job(entry.key, place)):
                return known
        self.report.stage(track.id, "submitting", 0)
        key = self.manifest.idempotency_key(entry)

        def submit() -> Job:
            self._asked.add(entry.track)
            return self.client.submit_as(submission, idempotency_key=key)

        return self._submits.retry(submit).id

    def _known_job(self, source: str, place: str) -> str:
        """Return the id of the job that writes the stems of a source below a prefix; empty without one."""
        for job in self.client.list(source=source):
            if job.outputs and all(key.startswith(place) for key in job.outputs.values()):
                return job.id
        return ""

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
        found = self._reads.retry(lambda: self.client.get_many(ids)) if ids else {}
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
        try:
            files = self._fetch(track, entry, job)
        except (TransferFailed, ApiError, ValueError) as error:
            if isinstance(error, TransferFailed) and has_no_room(error):
                raise
            code = _NOT_THERE if isinstance(error, ObjectMissing) else _NOT_FETCHED
            self._failed(self.manifest.entry(track.id), code, str(error))
            return
        sizes = {file: size_of(self.options.folder / file) or 0 for file in files.values()}
        done = replace(
            entry, state="done", code="", message="", duration_s=job.duration_s, files=files, sizes=sizes
        )
        self.report.ended(self.manifest.put(done))

    def _fetch(self, track: Track, entry: Entry, job: Job) -> dict[str, str]:
        """Fetch the stems of a track, and return their files.

        The files are noted before they are written: a run that goes on may replace those of this one alone.

        Raises:
            TransferFailed: they could not be fetched, or would replace other files, or own ones that were
                changed since.
            ValueError: the pattern gives two of them the same file.
        """
        folder, pattern = self.options.folder, self.options.pattern
        paths = file_names(job, folder, pattern, track.values)
        files = {stem: str(path.relative_to(folder)) for stem, path in paths.items()}
        own = set(entry.files.values())
        if not self.options.overwrite:
            check_free(path for stem, path in paths.items() if files[stem] not in own)
            check_untouched(entry, folder)
        self.manifest.put(replace(entry, files=files))
        self._reads.retry(
            lambda: self.client.download(
                job, folder, pattern=pattern, values=track.values, progress=self._reads.check
            ),
            tries=_TRIES,
        )
        return files

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
