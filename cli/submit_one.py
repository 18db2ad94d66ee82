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


class Interrupted(Exception):
    """Ctrl-C was pressed once the job was there."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.job = job


def submit_one(client: Client, one: One, *, as_json: bool) -> None:
    """Do it, and end the command with the status that docs/cli.md promises."""
    try:
        with job_progress(name=Path(one.source).name or one.source) as progress:
            job = _submitted(client, one, progress)
            files = _finished(client, one, job.id, progress) if one.waits else {}
            ended = client.get(job.id) if one.waits else job
    except Interrupted as interrupted:
        _end_after_interrupt(client, interrupted.job, cancels=one.cancels)
    except KeyboardInterrupt:
        click.echo("Stopped; nothing was submitted.", err=True)
        raise SystemExit(INTERRUPTED) from None
    paths = {stem: str(path) for stem, path in files.items()}
    if as_json:
        print_json({"JobId": ended.id, "State": ended.state, "Files": paths, "Job": ended.raw})
    elif one.waits:
        click.echo("\n".join(paths.values()))
    else:
        click.echo(job.id)


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


def _submitted(client: Client, one: One, progress: JobProgress) -> Job:
    from stemline.client.names import safe_name

    key = key_of(client, one.source)
    if not key:
        file = Path(one.source)
        progress.begin_upload(file.stat().st_size)
        key = client.upload(file, f"{new_folder()}/{safe_name(file.name)}", progress=progress.uploaded)
    once = uuid.uuid4().hex
    try:
        job = client.submit(key, idempotency_key=once, **one.parameters)
    except KeyboardInterrupt:
        # Whether it arrived is not known; the same key gives the same job, or makes it now.
        raise Interrupted(client.submit(key, idempotency_key=once, **one.parameters)) from None
    progress.submitted(job)
    return job


def _finished(client: Client, one: One, job_id: str, progress: JobProgress) -> dict[str, Path]:
    """Wait for the job, fetch its stems and return their files.

    Raises:
        CommandFailed: the job failed, with what to do, or was cancelled.
        Interrupted: Ctrl-C was pressed.
    """
    from stemline.client import JobEnded

    try:
        job = client.wait(job_id, on_change=progress.watched)
        progress.begin_download(job)
        name = Path(one.source).stem
        values = {"name": name} if name else {}
        return client.download(
            job, one.folder, pattern=one.pattern, values=values, progress=progress.downloaded
        )
    except KeyboardInterrupt:
        raise Interrupted(client.get(job_id)) from None
    except JobEnded as error:
        if error.job.state == "Failed":
            raise CommandFailed(str(error), hint=advice(error.job.code)) from error
        raise CommandFailed(str(error)) from error


def _end_after_interrupt(client: Client, job: Job, *, cancels: bool) -> None:
    """Say what becomes of the job, and end the command."""
    if job.has_ended:
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
