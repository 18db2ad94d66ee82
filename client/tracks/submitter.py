"""Submits tracks: sends their files and has a job made for each, one however often a run is stopped."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from typing import Final

from stemline.client.client import Client
from stemline.client.errors import ApiError, ClientError, StoreRefused, TransferFailed
from stemline.client.job import Job
from stemline.client.names import is_utf8, safe_name
from stemline.client.submission import Submission
from stemline.client.tracks.entry import Entry, digest
from stemline.client.tracks.manifest import Manifest
from stemline.client.tracks.options import Options, Report
from stemline.client.tracks.pace import TRIES, Pace, Stopped
from stemline.client.tracks.sources import Track

_KEY_IS_KEPT_S: Final = 20 * 3600
"""The service keeps an Idempotency-Key for a day; after this time it is looked for the job itself."""


class OptionsRefused(ClientError):
    """The service refuses what every job of the run asks for; no job was made with it.

    Attributes:
        cause: What it answered.
    """

    def __init__(self, cause: ApiError) -> None:
        super().__init__(str(cause))
        self.cause = cause


@dataclass(frozen=True, slots=True)
class Submitter:
    """Has jobs made for tracks, from several threads."""

    client: Client
    manifest: Manifest
    options: Options
    report: Report
    submits: Pace
    """A full queue holds submissions, and nothing else."""
    others: Pace
    """Of uploads and of what is read."""
    _refused: threading.Event = field(default_factory=threading.Event)
    _asked: set[str] = field(default_factory=set)
    """Tracks for which a job was asked for: one may be there, whatever was answered."""

    def submit(self, track: Track) -> Entry:
        """Have a new job for a track, or the one that an interrupted run may have made, and return its entry.

        What the service refuses of this track alone is noted in the entry, whose state is ``failed`` then.

        Raises:
            Stopped: The run is to end.
            AccessDenied: The key pair may not submit jobs.
            OptionsRefused: The service refuses the options of all jobs.
            StoreRefused: The bucket does not exist, or refuses the keys.
            ConnectionFailed: The service does not answer for a long time.
            OSError: The manifest cannot be written.
        """
        entry = self.manifest.entry(track.id)
        if entry.state not in {"sending", "sent"}:
            entry = self._begin(track, entry)
        try:
            if entry.state == "sending":
                entry = self.manifest.sent(entry, self._uploaded(track, entry))
            return self.manifest.submitted(entry, self._job_of(track, entry))
        except StoreRefused:
            raise
        except TransferFailed as error:
            return self.manifest.failed(entry, "NotUploaded", str(error))
        except ApiError as error:
            if error.status == 403:
                raise
            self._check_options(entry, error)
            return self.manifest.failed(entry, error.code, error.message)
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
        return self.others.retry(
            lambda: self.client.upload(path, entry.key, progress=self.others.check), tries=TRIES
        )

    def _job_of(self, track: Track, entry: Entry) -> str:
        """Return the id of a track's job, which is made unless it is there."""
        submission = self._submission(entry)
        if time.time() - entry.at > _KEY_IS_KEPT_S:
            place = str(submission.output).partition("{")[0]
            if known := self.others.retry(lambda: self._known_job(entry.key, place)):
                return known
        self.report.stage(track.id, "submitting", 0)
        key = self.manifest.idempotency_key(entry)

        def submit() -> Job:
            self._asked.add(entry.track)
            return self.client.submit_as(submission, idempotency_key=key)

        return self.submits.retry(submit).id

    def _known_job(self, source: str, place: str) -> str:
        """Return the id of the job that writes the stems of a source below a prefix; empty without one."""
        for job in self.client.list(source=source):
            if job.outputs and all(key.startswith(place) for key in job.outputs.values()):
                return job.id
        return ""

    def _submission(self, entry: Entry) -> Submission:
        output = f"stems/{self.manifest.run_id}/{digest(entry.track)}-{entry.turn}/{{stem}}.${{ext}}"
        return Submission(entry.key, **{**self.options.parameters, "output": output})

    def _check_options(self, entry: Entry, error: ApiError) -> None:
        """End the run if a submission was refused for what all of them ask for.

        Raises:
            OptionsRefused: Every other one would be refused too.
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
