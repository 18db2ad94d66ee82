"""Fetches the stems of tracks, and replaces no file that is not theirs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from stemline.client.client import Client
from stemline.client.errors import ApiError, ObjectMissing, TransferFailed
from stemline.client.job import Job
from stemline.client.names import check_free, file_names
from stemline.client.tracks.entry import Entry
from stemline.client.tracks.left import check_untouched, size_of
from stemline.client.tracks.manifest import Manifest
from stemline.client.tracks.options import Options
from stemline.client.tracks.pace import TRIES, Pace, has_no_room
from stemline.client.tracks.sources import Track

_NOT_THERE: Final = "NotThere"
"""Code of a track whose job succeeded and whose stems are in the bucket no more."""
NOT_FETCHED: Final = "NotFetched"
"""Code of a track whose job succeeded and whose stems are still in the bucket alone."""


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Fetches the stems of jobs that succeeded, from several threads."""

    client: Client
    manifest: Manifest
    options: Options
    pace: Pace

    def fetch(self, track: Track, entry: Entry, job: Job) -> Entry:
        """Fetch the stems of a track, and return its entry: ``done``, or ``failed`` with the reason.

        Raises:
            Stopped: The run is to end.
            TransferFailed: The disk takes no more stems.
            ConnectionFailed: The service does not answer for a long time.
            OSError: The manifest cannot be written.
        """
        try:
            files = self._fetch(track, entry, job)
        except (TransferFailed, ApiError, ValueError) as error:
            if isinstance(error, TransferFailed) and has_no_room(error):
                raise
            code = _NOT_THERE if isinstance(error, ObjectMissing) else NOT_FETCHED
            return self.manifest.failed(self.manifest.entry(track.id), code, str(error))
        sizes = {file: size_of(self.options.folder / file) or 0 for file in files.values()}
        return self.manifest.done(replace(entry, files=files, sizes=sizes), job.duration_s)

    def _fetch(self, track: Track, entry: Entry, job: Job) -> dict[str, str]:
        """Fetch the stems of a track, and return their files, relative to the folder of the output.

        The files are noted before they are written: a run that goes on may replace those of this one alone.

        Raises:
            TransferFailed: They could not be fetched, or would replace other files, or own ones that were
                changed since.
            ValueError: The pattern gives two of them the same file.
        """
        folder, pattern = self.options.folder, self.options.pattern
        paths = file_names(job, folder, pattern, track.values)
        files = {stem: str(path.relative_to(folder)) for stem, path in paths.items()}
        own = set(entry.files.values())
        if not self.options.overwrite:
            check_free(path for stem, path in paths.items() if files[stem] not in own)
            check_untouched(entry, folder)
        self.manifest.put(replace(entry, files=files))
        self.pace.retry(
            lambda: self.client.download(
                job, folder, pattern=pattern, values=track.values, progress=self.pace.check
            ),
            tries=TRIES,
        )
        return files
