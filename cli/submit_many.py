"""Many tracks from the command line: a folder, a prefix of the bucket, a list, or several files."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

import click

from stemline.cli.exits import CommandFailed, failure
from stemline.cli.output import counted, hint, printable
from stemline.cli.sources import find_tracks
from stemline.cli.statuses import FAILED, INTERRUPTED

if TYPE_CHECKING:
    from stemline.client import Client
    from stemline.client.tracks.entry import Entry
    from stemline.client.tracks.runner import Runner
    from stemline.client.tracks.sources import Track

_AGAIN: Final = "run the same command again to go on"


@dataclass(frozen=True, slots=True)
class ManyTracks:
    """What the user asks for of many tracks."""

    sources: Sequence[str]
    folder: Path
    """Of the stems and the manifest."""
    pattern: str
    parameters: Mapping[str, Any]
    kinds: Sequence[tuple[str, str]]
    """Name and extension of each stem of a track."""
    jobs: int
    retry_failed: bool
    overwrite: bool
    waits: bool
    cancels: bool
    dry_run: bool
    summary: Path | None
    as_json: bool


def submit_many(client: Client, many: ManyTracks) -> None:
    """Do it, and end the command with the status that docs/cli.md promises."""
    from stemline.cli.fetch import check_folder
    from stemline.cli.plan import print_plan
    from stemline.cli.tracks_report import tracks_report
    from stemline.client.tracks.manifest import NAME, Manifest, look
    from stemline.client.tracks.options import Options
    from stemline.client.tracks.places import placed
    from stemline.client.tracks.runner import Runner

    if many.summary is not None and not many.summary.parent.is_dir():
        raise CommandFailed(f"there is no folder {many.summary.parent} for the summary")
    where, found = find_tracks(client, many.sources, many.folder)
    queues = client.queues()  # a wrong address or key is said now, not after minutes of retries
    identity = {**many.parameters, "api bucket": client.target.bucket}
    check_folder(many.folder, keep=False)
    if many.dry_run:
        entries = look(many.folder / NAME, where, identity)
        tracks = placed(found, entries, many.pattern)
        todo = _check_places(many, tracks, entries)
        print_plan(client, entries, tracks, todo, queues, as_json=many.as_json)
        return
    options = Options(
        parameters=many.parameters,
        folder=many.folder,
        pattern=many.pattern,
        jobs=many.jobs,
        retry_failed=many.retry_failed,
        overwrite=many.overwrite,
        waits=many.waits,
    )
    with Manifest(many.folder / NAME, where, identity) as manifest:
        try:
            tracks = placed(found, manifest.entries, many.pattern)
            todo = _check_places(many, tracks, manifest.entries)
        except BaseException:
            manifest.forget()
            raise
        with tracks_report(tracks, len(todo)) as report:
            runner = Runner(client, manifest, tracks, options, report)
            interrupted, fault = _run(runner)
        _end(runner, many, interrupted=interrupted, fault=fault)


def _check_places(many: ManyTracks, tracks: Sequence[Track], entries: Mapping[str, Entry]) -> list[Track]:
    """Return the tracks that are left, whose stems replace nothing.

    Raises:
        CommandFailed: They would replace files that are not theirs.
        ValueError: The pattern gives two stems of a track the same file.
    """
    from stemline.client.tracks.left import left
    from stemline.client.tracks.places import taken

    todo = left(tracks, entries, many.folder, retry_failed=many.retry_failed, waits=many.waits)
    if not many.waits:
        return todo
    found = taken(todo, entries, many.folder, many.pattern, many.kinds)
    if found and not many.overwrite:
        first = found[0]
        names = {track.id: track.shown for track in tracks}
        whose = f", of the track {printable(names.get(first.owner, first.owner))}" if first.owner else ""
        others = f", and {counted(len(found) - 1, 'other file')} too" if len(found) > 1 else ""
        raise CommandFailed(
            f"{printable(str(first.path))} is there already{whose}{others}; nothing was submitted",
            hint="--overwrite replaces them; another folder with -o, or --names, keeps them",
        )
    return todo


def _run(runner: Runner) -> tuple[bool, Exception | None]:
    """Run it; return whether a signal stopped it, Ctrl-C's or another, and what else ended it too early."""
    from stemline.client import ClientError
    from stemline.client.tracks.pace import Stopped

    def stop(_signal: int, _frame: FrameType | None) -> None:
        # Python drops an exception that is raised while it runs a destructor; the run ends nevertheless.
        runner.stop.set()
        raise KeyboardInterrupt

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        runner.run()
    except (KeyboardInterrupt, Stopped):
        return True, None
    except (ClientError, OSError) as error:
        return False, error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return False, None


def _end(runner: Runner, many: ManyTracks, *, interrupted: bool, fault: Exception | None) -> None:
    """Say what the run came to, whatever ended it, and end the command with its status."""
    from stemline.cli.refusals import refused
    from stemline.cli.summary import print_summary, write_summary
    from stemline.client import ConnectionFailed
    from stemline.client.tracks.submitter import OptionsRefused

    going = runner.unfinished()
    cancelled = runner.cancel() if interrupted and many.cancels and going else []
    try:
        write_summary(many.summary or many.folder / "stemline-summary.csv", runner.manifest, runner.tracks)
    except OSError as error:  # a full disk may be what ended the run
        fault = fault or error
    failed = print_summary(runner.manifest, runner.tracks, waits=many.waits, as_json=many.as_json)
    if interrupted:
        parts = [f"{counted(len(cancelled), 'job')} cancelled"] if cancelled else []
        if rest := len(going) - len(cancelled):
            parts.append(f"{counted(rest, 'job')} {'goes' if rest == 1 else 'go'} on")
        click.echo(f"Stopped{'; ' if parts else ''}{', '.join(parts)}.", err=True)
        hint(_AGAIN)
        raise SystemExit(INTERRUPTED)
    if isinstance(fault, OptionsRefused):
        raise refused(fault.cause) from fault
    if fault is not None:
        if isinstance(fault, ConnectionFailed):
            raise failure(fault, hint=_AGAIN) from fault
        raise failure(fault, then=_AGAIN) from fault
    if failed:
        hint("--retry-failed tries the failed ones again")
        raise SystemExit(FAILED)
    if not many.waits and not many.as_json:
        hint("the same command without --no-wait fetches the stems")
    rest = sum(runner.manifest.entry(track.id).state != "done" for track in runner.tracks)
    if rest and many.retry_failed and many.waits:
        hint(f"{counted(rest, 'track')} had not failed: the same command without --retry-failed goes on")
