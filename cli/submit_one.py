"""One job from the command line: upload, submit, watch, download."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stemline.cli.advice import advice
from stemline.cli.exits import INTERRUPTED, NOT_FOUND, CommandFailed
from stemline.cli.job_progress import JobProgress, job_progress
from stemline.cli.output import print_json

if TYPE_CHECKING:
    from stemline.client import Client, Job

_S3 = "s3://"


@dataclass(frozen=True, slots=True)
class One:
    """What the user asks for."""

    source: str
    """A file of this machine, a key of the bucket, or ``s3://BUCKET/KEY``."""
    folder: Path
    """Of the stems."""
    pattern: str
    parameters: Mapping[str, Any]
    """Of :class:`stemline.client.Submission`."""
    waits: bool
    cancels: bool
    """Whether Ctrl-C cancels the job."""


def submit_one(client: Client, one: One, *, as_json: bool) -> None:
    """Do it, and end the command with the status that docs/cli.md promises."""
    from stemline.client import JobEnded

    run: _Run | None = None
    try:
        with job_progress(name=Path(one.source).name or one.source) as progress:
            run = _Run(client, one, progress)
            run.do()
    except KeyboardInterrupt:
        _end_after_interrupt(client, run.job if run else None, cancels=one.cancels)
    except JobEnded as error:
        if as_json:
            _print_json(error.job, {})
        hint = advice(error.job.code) if error.job.state == "Failed" else ""
        raise CommandFailed(str(error), hint=hint) from error
    assert run is not None  # noqa: S101 - every other way out is above
    assert run.job is not None  # noqa: S101
    if as_json:
        _print_json(run.job, run.files)
    else:
        click.echo("\n".join(map(str, run.files.values())) if one.waits else run.job.id)


class _Run:
    """One job on its way.

    Attributes:
        job: as it was seen last; ``None`` until it was submitted.
        files: of the stems that were fetched.
    """

    def __init__(self, client: Client, one: One, progress: JobProgress) -> None:
        self._client = client
        self._one = one
        self._progress = progress
        self.job: Job | None = None
        self.files: dict[str, Path] = {}

    def do(self) -> None:
        """Upload, submit, wait and fetch.

        Raises:
            JobEnded: the job failed or was cancelled.
        """
        job = self._submit(self._key())
        self._progress.submitted(job)
        if self._one.waits:
            self.job = self._client.wait(job.id, on_change=self._see)
            self._fetch(self.job)

    def _key(self) -> str:
        """Return the key of the source, which is uploaded if it is a file of this machine."""
        from stemline.client.names import safe_name

        source = self._one.source
        if key := key_of(self._client, source):
            return key
        file = Path(source)
        self._progress.begin_upload(file.stat().st_size)
        return self._client.upload(
            file, f"{new_folder()}/{safe_name(file.name)}", progress=self._progress.uploaded
        )

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
        from stemline.client.names import safe_name

        self._progress.begin_download(job)
        name = safe_name(Path(self._one.source).stem) if Path(self._one.source).stem else ""
        self.files = self._client.download(
            job,
            self._one.folder,
            pattern=self._one.pattern,
            values={"name": name} if name else {},
            progress=self._progress.downloaded,
        )


def key_of(client: Client, source: str) -> str:
    """Return the key that a source names in the client's bucket; empty if it is a file of this machine.

    Raises:
        CommandFailed: it is neither, or it is in another bucket.
    """
    bucket = client.target.bucket
    if source.startswith(_S3):
        name, _, key = source.removeprefix(_S3).partition("/")
        if name != bucket:
            hint = "give the bucket with --bucket, or use a profile for it"
            raise CommandFailed(
                f"jobs of {client.target.origin} read from {bucket}, not from {name}", hint=hint
            )
        return key
    if Path(source).exists():
        return ""
    if client.target.s3 is not None and not client.bucket.exists(source):
        raise CommandFailed(
            f"{source} is neither a file here nor an object in the bucket {bucket}", status=NOT_FOUND
        )
    return source


def new_folder() -> str:
    """Return a prefix of keys that nothing else has, which begins with the present time."""
    return f"uploads/{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def _print_json(job: Job, files: Mapping[str, Path]) -> None:
    paths = {stem: str(path) for stem, path in files.items()}
    print_json({"JobId": job.id, "State": job.state, "Files": paths, "Job": job.raw})


def _end_after_interrupt(client: Client, job: Job | None, *, cancels: bool) -> None:
    """Say what becomes of the job, and end the command."""
    if job is None:
        click.echo("\nStopped; nothing was submitted.", err=True)
    elif job.has_ended:
        click.echo(f"\nStopped; job {job.id} has ended as {job.state}.", err=True)
    elif cancels:
        client.cancel(job.id)
        click.echo(f"\nStopped; job {job.id} is cancelled.", err=True)
    else:
        click.echo(f"\nStopped; job {job.id} goes on.", err=True)
        click.echo(
            f"Hint: `stemline job {job.id} --watch` shows it, `stemline cancel {job.id}` ends it", err=True
        )
    raise SystemExit(INTERRUPTED)
