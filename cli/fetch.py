"""``stemline fetch``: the stems of jobs that are there already."""

from __future__ import annotations

import hashlib
import shlex
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stemline.cli.connection import Connection, connected
from stemline.cli.exits import FAILED, NOT_FOUND, CommandFailed
from stemline.cli.output import as_json, counted, print_json, printable
from stemline.cli.patterns import names_option
from stemline.cli.words import FOLDER, WORD

if TYPE_CHECKING:
    from stemline.client import Client, Job
    from stemline.client.tracks.sources import Track

_CHUNK = 1 << 20


@click.command()
@click.argument("ids", nargs=-1, type=WORD, metavar="[ID]...")
@click.option("--batch", type=WORD, help="All jobs of this batch that have succeeded.")
@click.option(
    "-o", "--output", type=FOLDER, default=Path(), help="Folder for the stems; the current one by default."
)
@names_option
@click.option("--wait", is_flag=True, help="Wait for jobs that have not ended.")
@click.option("--overwrite", is_flag=True, help="Replace files that are there already.")
@as_json
@connected
def fetch(
    connection: Connection,
    *,
    ids: Sequence[str],
    batch: str | None,
    output: Path,
    pattern: str,
    wait: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Fetch the stems of jobs, by their IDs or all of a batch.

    The paths of the files are printed. A file that is there with the same content is not fetched again, so
    that the same command goes on after whatever stopped it.

    The exit status is 1 if the stems of a job could not be fetched, 5 if there is no such job.
    """
    if bool(ids) == bool(batch):
        raise click.UsageError("give either IDs or --batch")
    check_folder(output)
    with connection.open(budget_s=60) as client:
        if batch and wait:
            client.wait_batch(batch)
        jobs = _of_batch(client, batch) if batch else list(_named(client, ids, wait=wait))
        tracks = _placed(jobs, pattern)
        if not overwrite:
            for job, track in zip(jobs, tracks, strict=True):
                _check_free(job, output, pattern, track.values)
        failed = 0
        for job, track in zip(jobs, tracks, strict=True):
            failed += not _fetch(client, job, output, pattern, track.values, as_json=as_json)
    if failed:
        raise CommandFailed(
            f"the stems of {counted(failed, 'job')} could not be fetched",
            hint="run the same command again to go on",
            status=FAILED,
        )


def check_folder(folder: Path) -> None:
    """Make a folder, and check that files can be written to it.

    Raises:
        CommandFailed: they cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder, prefix=".stemline-"):
            pass
    except OSError as error:
        raise CommandFailed(
            f"{printable(str(folder))} takes no files: {error.strerror or error}",
            hint="nothing was sent; give another folder with -o",
        ) from error


def fetches(job_id: str, folder: Path, *, wait: bool = False) -> str:
    """Return the command that fetches the stems of a job, for hints."""
    words = ["stemline", "fetch", job_id, *(["-o", printable(str(folder))] if folder != Path() else [])]
    return f"`{shlex.join([*words, *(['--wait'] if wait else [])])}`"


def _named(client: Client, ids: Sequence[str], *, wait: bool) -> Iterator[Job]:
    """Yield jobs that have succeeded.

    Raises:
        CommandFailed: there is no such job, or it has no stems.
    """
    found = client.get_many(list(dict.fromkeys(ids)))
    if missing := [each for each in ids if each not in found]:
        hint = f"`stemline jobs` lists those of {client.target.bucket}"
        raise CommandFailed(f"there is no job {', '.join(missing)}", hint=hint, status=NOT_FOUND)
    for job in found.values():
        ended = client.wait(job.id, check=False) if wait and not job.has_ended else job
        if not ended.succeeded:
            reason = f": {ended.code}: {ended.message}" if ended.state == "Failed" else ""
            hint = (
                f"`stemline job {ended.id}` says why it has no stems" if ended.has_ended else "--wait waits"
            )
            raise CommandFailed(f"job {ended.id} is {ended.state}{reason}; it has no stems", hint=hint)
        yield ended


def _of_batch(client: Client, batch: str) -> list[Job]:
    """Return the jobs of a batch that have succeeded.

    Raises:
        NotFound: there is no such batch.
        CommandFailed: none has.
    """
    client.batch(batch)
    jobs = list(client.list(batch=batch, states=["Success"], oldest_first=True))
    if not jobs:
        others = ", ".join(sorted({each.state for each in islice(client.list(batch=batch), 100)}))
        hint = f"its jobs are {others}; --wait waits" if others else ""
        raise CommandFailed(f"no job of batch {batch} has succeeded", hint=hint)
    return jobs


def _placed(jobs: Sequence[Job], pattern: str) -> Sequence[Track]:
    """Return places for the stems of jobs, such that no two write the same file."""
    from stemline.client.tracks.places import placed
    from stemline.client.tracks.sources import of_job

    return placed((of_job(job.id, job.source) for job in jobs), {}, pattern)


def _check_free(job: Job, folder: Path, pattern: str, values: Mapping[str, str]) -> None:
    """Check that the stems of a job replace no other file.

    Raises:
        TransferFailed: one would.
        ValueError: the pattern gives two of them the same file.
    """
    from stemline.client.names import check_free, file_names

    paths = file_names(job, folder, pattern, values)
    check_free(paths[stem.name] for stem in job.stems if not _is_there(paths[stem.name], stem.md5))


def _fetch(
    client: Client, job: Job, folder: Path, pattern: str, values: Mapping[str, str], *, as_json: bool
) -> bool:
    """Fetch the stems of a job and print their files; return whether they are there."""
    from stemline.client import ApiError, TransferFailed
    from stemline.client.names import file_names

    files = file_names(job, folder, pattern, values)
    try:
        if not all(_is_there(files[stem.name], stem.md5) for stem in job.stems):
            client.download(job, folder, pattern=pattern, values=values)
    except (TransferFailed, ApiError) as error:
        click.echo(f"job {job.id}: {printable(str(error))}", err=True)
        return False
    if as_json:
        shown: dict[str, Any] = {stem: str(path) for stem, path in files.items()}
        print_json({"JobId": job.id, "Files": shown})
    else:
        click.echo("\n".join(map(str, files.values())))
    return True


def _is_there(path: Path, md5: str) -> bool:
    """Return whether a file has the content of a stem already."""
    if not md5 or not path.is_file():
        return False
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest() == md5
