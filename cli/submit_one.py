"""One job from the command line: upload, submit, watch, download."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import click

from stemline.cli.advice import advice
from stemline.cli.exits import CommandFailed, ending_like_ctrl_c, failure
from stemline.cli.job_progress import JobProgress, job_progress
from stemline.cli.output import hint, print_json, print_paths, printable, say
from stemline.cli.sources import key_of
from stemline.cli.statuses import INTERRUPTED
from stemline.cli.wait_notice import WaitNotice

if TYPE_CHECKING:
    from stemline.client import Client, Job


@dataclass(frozen=True, slots=True)
class OneTrack:
    """What the user asks for of one track."""

    source: str
    """A file of this machine, a key of the bucket, or ``s3://BUCKET/KEY``."""
    folder: Path
    """Of the stems."""
    pattern: str
    parameters: Mapping[str, Any]
    """Of :class:`stemline.client.Submission`."""
    kinds: Sequence[tuple[str, str]]
    """Name and extension of each stem."""
    waits: bool
    cancels: bool
    """Whether Ctrl-C cancels the job."""
    overwrite: bool
    """Whether stems may replace files."""


def submit_one(client: Client, one: OneTrack, *, as_json: bool) -> None:
    """Do it, and end the command with the status that docs/cli.md promises."""
    from stemline.cli.fetch import fetches
    from stemline.client import ClientError, JobEnded

    _check_place(one)
    run: _Run | None = None
    try:
        name = printable(Path(one.source).name or one.source)
        with ending_like_ctrl_c(), job_progress(name=name) as progress:
            run = _Run(client, one, progress)
            run.do()
    except KeyboardInterrupt:
        _end_after_interrupt(client, run.job if run else None, one.folder, cancels=one.cancels)
    except JobEnded as error:
        if as_json:
            _print_json(error.job, {})
        what = advice(error.job.code, error.job.message) if error.job.state == "Failed" else ""
        raise CommandFailed(str(error), hint=what) from error
    except (ClientError, OSError) as error:
        if run is None or run.job is None:
            raise
        again = fetches(run.job.id, one.folder, wait=not run.job.succeeded)
        raise failure(error, then=f"{again} fetches the stems of job {run.job.id}") from error
    assert run is not None  # noqa: S101 - every other way out is above
    assert run.job is not None  # noqa: S101
    if as_json:
        _print_json(run.job, run.files)
    elif one.waits:
        print_paths(run.files.values())
    else:
        say(run.job.id)
    if not one.waits and not as_json:
        hint(f"{fetches(run.job.id, one.folder, wait=True)} fetches its stems")


def _check_place(one: OneTrack, *, keep: bool = True) -> None:
    """Check that stems could be put where they are to go, before anything is sent.

    Args:
        one: What is asked for.
        keep: Whether the folder is made.

    Raises:
        CommandFailed: The folder takes no files, or has one of their names.
        ValueError: The pattern gives two stems the same file.
    """
    from stemline.cli.fetch import check_folder

    if one.waits:
        check_folder(one.folder, keep=keep)
        if not one.overwrite:
            _check_free(one)


def try_one(client: Client, one: OneTrack) -> None:
    """Print what would become of a file or an object, as JSON; nothing is uploaded or submitted.

    An object is looked at by a worker. A file is read here, with the packages of ``stemline[worker]``;
    the service checks all else.

    Raises:
        CommandFailed: The stems could not be put where they are to go.
        OSError: The file cannot be read.
    """
    _check_place(one, keep=False)
    source = one.source
    if key := key_of(client, source):
        print_json(client.dry_run(key, **one.parameters))
        return
    with Path(source).open("rb"):
        pass
    from stemline.cli.plan import durations, speed_of_last_jobs
    from stemline.client.tracks.sources import named

    tracks = list(named([Path(source)]))
    asked = client.dry_run(Path(source).name, probe=False, **one.parameters)
    message = next((each["Message"] for each in asked.get("Estimate", []) if each.get("Message")), None)
    length = next(durations(tracks), None)
    speed = speed_of_last_jobs(client)
    seconds = {"Seconds": round(length / speed, 1)} if length is not None and speed else {}
    found = {"File": source, "Size": tracks[0].size}
    print_json(
        {
            "Source": found if length is None else {**found, "Duration": round(length, 3)},
            "Estimate": [estimate]
            if (estimate := {**seconds, **({"Message": message} if message else {})})
            else [],
        }
    )
    if length is None:
        hint("the file could not be read here as audio, or stemline[worker] is not installed")
    else:
        hint("the options are valid; a worker looks at the file only once it is in the bucket")


class _Run:
    """One job on its way.

    Attributes:
        job: As it was seen last; ``None`` until it was submitted.
        files: Files of the stems that were fetched.
    """

    def __init__(self, client: Client, one: OneTrack, progress: JobProgress) -> None:
        self._client = client
        self._one = one
        self._progress = progress
        self.job: Job | None = None
        self.files: dict[str, Path] = {}

    def do(self) -> None:
        """Upload, submit, wait and fetch.

        Raises:
            JobEnded: The job failed or was cancelled.
        """
        job = self._submit(self._key())
        self._progress.submitted(job)
        if self._one.waits:
            self.job = self._client.wait(job.id, on_change=self._see)
            self._fetch(self.job)

    def _key(self) -> str:
        """Return the key of the source, which is uploaded if it is a file of this machine."""
        source = self._one.source
        if key := key_of(self._client, source):
            return key
        file = Path(source)
        self._progress.begin_upload(file.stat().st_size)
        with self._for_store(self._progress.uploaded) as moved:
            return self._client.upload(file, progress=moved)

    def _submit(self, key: str) -> Job:
        once = uuid.uuid4().hex
        try:
            self.job = self._client.submit(key, idempotency_key=once, **self._one.parameters)
        except KeyboardInterrupt:
            # Whether it arrived is not known; the same key gives the same job, or makes it now.
            self.job = self._client.submit(key, idempotency_key=once, **self._one.parameters)
            raise
        return self.job

    def _see(self, job: Job) -> None:
        self.job = job
        self._progress.watched(job)

    def _fetch(self, job: Job) -> None:
        from stemline.client.names import check_free, file_names

        one, values = self._one, _values(self._one.source)
        if not one.overwrite:
            check_free(file_names(job, one.folder, one.pattern, values).values())
        self._progress.begin_download(job)
        with self._for_store(self._progress.downloaded) as moved:
            self.files = self._client.download(
                job, one.folder, pattern=one.pattern, values=values, progress=moved
            )

    @contextmanager
    def _for_store(self, progress: Callable[[int], None]) -> Iterator[Callable[[int], None]]:
        """Say if the store does not answer; the block gets the function to call with each progress."""
        with WaitNotice(f"the store of the bucket {self._client.target.bucket}") as notice:

            def moved(count: int) -> None:
                notice.moved()
                progress(count)

            yield moved


def _check_free(one: OneTrack) -> None:
    """Check, before anything is sent, that the stems replace no file.

    Raises:
        CommandFailed: There is one of their names.
        ValueError: The pattern gives two stems the same file.
    """
    from stemline.client.tracks.places import targets

    paths = targets(one.pattern, {**_values(one.source), "jobid": ""}, one.kinds)
    for path in () if "{jobid}" in one.pattern else paths:
        if os.path.lexists(one.folder / path):
            raise CommandFailed(
                f"{printable(str(one.folder / path))} is there already; nothing was submitted",
                hint="--overwrite replaces it; another folder with -o, or --names, keeps it",
            )


def _values(source: str) -> dict[str, str]:
    """Return what the names of the stems take from the source."""
    from stemline.client.names import safe_name

    stem = PurePosixPath(source).stem
    return {"name": safe_name(stem)} if stem else {}


def _print_json(job: Job, files: Mapping[str, Path]) -> None:
    paths = {stem: str(path) for stem, path in files.items()}
    print_json({"JobId": job.id, "State": job.state, "Files": paths, "Job": job.raw})


def _end_after_interrupt(client: Client, job: Job | None, folder: Path, *, cancels: bool) -> None:
    """Say what becomes of the job, and end the command."""
    from stemline.cli.fetch import fetches
    from stemline.client import ClientError

    if job is None:
        click.echo("\nStopped; nothing was submitted.", err=True)
    elif job.has_ended:
        click.echo(f"\nStopped; job {printable(f'{job.id} has ended as {job.state}')}.", err=True)
        if job.succeeded:
            hint(f"{fetches(job.id, folder)} fetches its stems")
    elif not cancels:
        click.echo(f"\nStopped; job {printable(job.id)} goes on.", err=True)
        hint(
            f"{fetches(job.id, folder, wait=True)} fetches its stems, "
            f"`stemline job {job.id} --watch` shows it, `stemline cancel {job.id}` ends it"
        )
    else:
        try:
            client.cancel(job.id)
        except ClientError as error:
            click.echo(f"\nStopped; job {printable(f'{job.id} could not be cancelled: {error}')}", err=True)
            hint(f"`stemline job {job.id}` shows it")
        else:
            click.echo(f"\nStopped; job {printable(job.id)} is cancelled.", err=True)
    raise SystemExit(INTERRUPTED)
