"""``stemline fetch``: the stems of jobs that are there already."""

from __future__ import annotations

import hashlib
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stemline.cli.connection import Connection, connected
from stemline.cli.examples import command_with
from stemline.cli.exits import CommandFailed
from stemline.cli.fetchable import named, of_batch
from stemline.cli.output import as_json, print_json, print_paths, printable
from stemline.cli.patterns import names_option
from stemline.cli.words import FOLDER, WORD

if TYPE_CHECKING:
    from stemline.client import Client, Job
    from stemline.client.tracks.sources import Track

_CHUNK = 1 << 20
_TAKEN = "--overwrite replaces files; another folder with -o, or --names, keeps them"
_AGAIN = "run the same command again to go on"


@command_with("stemline fetch ID -o stems --wait", "stemline fetch --batch ID -o stems")
@click.argument("ids", nargs=-1, type=WORD, metavar="[ID]...")
@click.option("--batch", type=WORD, help="All jobs of this batch.")
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
    the same command can be run again after an interruption. A job whose stems cannot be
    fetched is named, and the others are fetched.

    The exit status is 1 if the stems of a job were not fetched, 5 if there is no such job.
    """
    from stemline.client import TransferFailed

    if bool(ids) == bool(batch):
        raise click.UsageError("give either IDs or --batch")
    check_folder(output, keep=False)
    with connection.open(budget_s=60) as client:
        chosen = of_batch(client, batch, wait=wait) if batch else named(client, ids, wait=wait)
        tracks = _placed(chosen.jobs, pattern)
        for job, track in zip(chosen.jobs, tracks, strict=True):
            try:
                if not overwrite:
                    _check_free(job, output, pattern, track.values)
            except TransferFailed as error:
                chosen.miss(f"job {job.id}: {error}", _TAKEN)
                continue
            if why := _fetch(client, job, output, pattern, track.values, as_json=as_json):
                chosen.miss(f"job {job.id}: {why}", _AGAIN)
    chosen.end()


def check_folder(folder: Path, *, keep: bool = True) -> None:
    """Make a folder, and check that files can be written to it.

    Args:
        folder: Folder of stems.
        keep: Whether it stays; otherwise what was made of it is removed again.

    Raises:
        CommandFailed: They cannot.
    """
    made: list[Path] = []
    try:
        made = [each for each in (folder, *folder.parents) if not each.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder, prefix=".stemline-"):
            pass
    except OSError as error:
        raise CommandFailed(
            f"{printable(str(folder))} takes no files: {error.strerror or error}",
            hint="give another folder with -o",
        ) from error
    finally:
        for each in () if keep else made:
            with suppress(OSError):
                each.rmdir()


def fetches(job_id: str, folder: Path, *, wait: bool = False) -> str:
    """Return the command that fetches the stems of a job, for hints."""
    words = ["stemline", "fetch", job_id, *(["-o", printable(str(folder))] if folder != Path() else [])]
    return f"`{shlex.join([*words, *(['--wait'] if wait else [])])}`"


def _placed(jobs: Sequence[Job], pattern: str) -> Sequence[Track]:
    """Return places for the stems of jobs, such that no two write the same file."""
    from stemline.client.tracks.places import placed
    from stemline.client.tracks.sources import of_job

    return placed((of_job(job.id, job.source) for job in jobs), {}, pattern)


def _check_free(job: Job, folder: Path, pattern: str, values: Mapping[str, str]) -> None:
    """Check that the stems of a job replace no other file.

    Raises:
        TransferFailed: One would.
        ValueError: The pattern gives two of them the same file.
    """
    from stemline.client.names import check_free, file_names

    paths = file_names(job, folder, pattern, values)
    check_free(paths[stem.name] for stem in job.stems if not _is_there(paths[stem.name], stem.md5))


def _fetch(
    client: Client, job: Job, folder: Path, pattern: str, values: Mapping[str, str], *, as_json: bool
) -> str:
    """Fetch the stems of a job and print their files; return why they cannot be fetched, empty if they are.

    Raises:
        TransferFailed: The disk takes no more files.
    """
    from stemline.client import ApiError, TransferFailed
    from stemline.client.names import file_names
    from stemline.client.tracks.pace import has_no_room

    files = file_names(job, folder, pattern, values)
    try:
        if not all(_is_there(files[stem.name], stem.md5) for stem in job.stems):
            client.download(job, folder, pattern=pattern, values=values)
    except (TransferFailed, ApiError) as error:
        if isinstance(error, TransferFailed) and has_no_room(error):
            raise
        return str(error)
    if as_json:
        shown: dict[str, Any] = {stem: str(path) for stem, path in files.items()}
        print_json({"JobId": job.id, "Files": shown})
    else:
        print_paths(files.values())
    return ""


def _is_there(path: Path, md5: str) -> bool:
    """Return whether a file has the content of a stem already."""
    if not md5 or not path.is_file():
        return False
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest() == md5
