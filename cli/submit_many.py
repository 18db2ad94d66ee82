"""Many tracks from the command line: a folder, a prefix of the bucket, a list, or several files."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

import click

from stemline.cli.exits import FAILED, INTERRUPTED, NOT_FOUND, UNREACHABLE, CommandFailed

if TYPE_CHECKING:
    from stemline.client import Client
    from stemline.client.tracks.runner import Runner
    from stemline.client.tracks.sources import Track

LISTS: Final = frozenset({".txt", ".lst", ".list", ".m3u", ".m3u8"})
_S3: Final = "s3://"


@dataclass(frozen=True, slots=True)
class Many:
    """What the user asks for."""

    sources: Sequence[str]
    folder: Path
    """Of the stems and the manifest."""
    pattern: str
    parameters: Mapping[str, Any]
    jobs: int
    retry_failed: bool
    waits: bool
    cancels: bool
    dry_run: bool
    summary: Path | None
    as_json: bool


def is_many(client: Client, sources: Sequence[str]) -> bool:
    """Return whether sources mean more than one file or object."""
    if len(sources) > 1 or sources[0] == "-":
        return True
    source = sources[0]
    path = Path(source)
    if path.is_dir():
        return True
    if path.is_file():
        return path.suffix.lower() in LISTS
    if source.endswith("/"):
        return True
    if client.target.s3 is None or source.startswith(_S3):
        return False
    return not client.bucket.exists(source) and any(True for _ in client.bucket.list(f"{source}/"))


def find_tracks(client: Client, many: Many) -> tuple[str, list[Track]]:
    """Return a name of where the tracks come from, and the tracks.

    Raises:
        CommandFailed: there are none.
        ValueError: the pattern gives two of them the same files.
    """
    from stemline.client.tracks.sources import distinct

    where, found = _found(client, many)
    tracks = distinct(found, many.pattern)
    if not tracks:
        raise CommandFailed(f"there are no media files or objects in {where}", status=NOT_FOUND)
    return where, tracks


def submit_many(client: Client, many: Many) -> None:
    """Do it, and end the command with the status that docs/cli.md promises."""
    from stemline.cli.plan import print_plan
    from stemline.cli.tracks_report import tracks_report
    from stemline.client.tracks.manifest import NAME, Manifest
    from stemline.client.tracks.runner import Options, Runner

    if many.summary is not None and not many.summary.parent.is_dir():
        raise CommandFailed(f"there is no folder {many.summary.parent} for the summary")
    where, tracks = find_tracks(client, many)
    queues = client.queues()  # a wrong address or key is said now, not after minutes of patience
    if many.dry_run:
        print_plan(client, many.folder / NAME, tracks, queues, as_json=many.as_json)
        return
    identity = {**many.parameters, "api bucket": client.target.bucket}
    options = Options(
        parameters=many.parameters,
        folder=many.folder,
        pattern=many.pattern,
        jobs=many.jobs,
        retry_failed=many.retry_failed,
        waits=many.waits,
    )
    with Manifest(many.folder / NAME, where, identity) as manifest:
        with tracks_report(manifest, tracks) as report:
            runner = Runner(client, manifest, tracks, options, report)
            interrupted = _run(runner)
        _end(client, runner, many, interrupted=interrupted)


def _found(client: Client, many: Many) -> tuple[str, Iterable[Track]]:
    from stemline.client.tracks import sources

    first = many.sources[0]
    path, bucket = Path(first), client.target.bucket
    if len(many.sources) > 1:
        missing = [each for each in many.sources if not Path(each).is_file()]
        if missing:
            raise CommandFailed(f"{missing[0]} is not a file", status=NOT_FOUND)
        return "several files", sources.named([Path(each) for each in many.sources])
    if first == "-":
        lines = sys.stdin.read().splitlines()
        found = sources.in_list(lines, base=Path(), bucket=bucket)
        # Whole paths: a later run elsewhere may list other files with the same names.
        whole = (replace(t, id=t.path.resolve().as_posix()) if t.path is not None else t for t in found)
        return "a list on the standard input", whole
    if path.is_dir():
        return str(path.resolve()), sources.in_folder(path, without=many.folder)
    if path.is_file():
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
        return str(path.resolve()), sources.in_list(text.splitlines(), base=path.parent, bucket=bucket)
    prefix = first
    if first.startswith(_S3):
        name, _, prefix = first.removeprefix(_S3).partition("/")
        if name != bucket:
            raise CommandFailed(f"jobs of {client.target.origin} read from {bucket}, not from {name}")
    prefix = prefix if prefix.endswith("/") or not prefix else f"{prefix}/"
    return f"{_S3}{bucket}/{prefix}", sources.below_prefix(client.bucket, prefix)


def _run(runner: Runner) -> bool:
    """Run it, and return whether it was stopped by Ctrl-C or SIGTERM.

    Raises:
        CommandFailed: the service does not answer for a long time; the manifest is there to go on.
    """
    from stemline.client import ConnectionFailed
    from stemline.client.tracks.pace import Stopped

    def stop(_signal: int, _frame: FrameType | None) -> None:
        # Python drops an exception that is raised while it runs a destructor; the run ends nevertheless.
        runner.stop.set()
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        runner.run()
    except (KeyboardInterrupt, Stopped):
        return True
    except ConnectionFailed as error:
        hint = "run the same command again to go on"
        raise CommandFailed(str(error), hint=hint, status=UNREACHABLE) from error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return False


def _end(client: Client, runner: Runner, many: Many, *, interrupted: bool) -> None:
    from stemline.cli.summary import print_summary, write_summary

    write_summary(many.summary or many.folder / "stemline-summary.csv", runner.manifest, runner.tracks)
    going = runner.unfinished()
    if interrupted and many.cancels and going:
        _cancel_all(client, going)
    failed = print_summary(runner.manifest, runner.tracks, as_json=many.as_json)
    if interrupted:
        if going:
            what = "were cancelled" if many.cancels else "go on"
            click.echo(f"Stopped; {len(going)} jobs {what}.", err=True)
        click.echo("Hint: run the same command again to go on", err=True)
        raise SystemExit(INTERRUPTED)
    if failed:
        click.echo("Hint: --retry-failed tries the failed ones again", err=True)
        raise SystemExit(FAILED)


def _cancel_all(client: Client, ids: Sequence[str]) -> None:
    """Cancel jobs one by one: some may have ended meanwhile."""
    from stemline.client import ApiError

    for each in ids:
        try:
            client.cancel(each)
        except ApiError as error:
            click.echo(f"{each}: {error.message}", err=True)
