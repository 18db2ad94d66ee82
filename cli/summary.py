"""What a run over many tracks came to."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from stemline.cli.advice import advice
from stemline.cli.output import counted, hint, print_json, printable, say, span
from stemline.cli.whole_files import whole_file

if TYPE_CHECKING:
    from stemline.client.tracks.entry import Entry
    from stemline.client.tracks.manifest import Manifest
    from stemline.client.tracks.sources import Track

_COLUMNS: Final = ("track", "state", "job", "code", "message", "duration_s", "files")
_SHOWN: Final = 10
"""Failed tracks that are printed; the summary has all of them."""
_STATES: Final = {
    "new": "to do",
    "sending": "to do",
    "sent": "to do",
    "submitted": "submitted",
    "done": "done",
    "failed": "failed",
}


def write_summary(file: Path, manifest: Manifest, tracks: Sequence[Track]) -> None:
    """Write a row for each track: CSV, or JSON if the name of the file ends so."""
    rows = [_row(manifest.entry(track.id)) for track in tracks]
    with whole_file(file, "w", newline="", encoding="utf-8", errors="surrogateescape") as out:
        if file.suffix.lower() == ".json":
            json.dump(rows, out, indent=2)
        else:
            writer = csv.DictWriter(out, _COLUMNS)
            writer.writeheader()
            writer.writerows({**row, "files": ";".join(row["files"].values())} for row in rows)


def print_summary(manifest: Manifest, tracks: Sequence[Track], *, waits: bool, as_json: bool) -> int:
    """Print how many tracks are in each state, and why some failed; return how many did.

    Args:
        manifest: What became of the tracks.
        tracks: Tracks of the run.
        waits: Whether jobs were followed to their end; otherwise their ids are the result.
        as_json: Whether it is one document.
    """
    entries = [manifest.entry(track.id) for track in tracks]
    counts = Counter(_STATES[entry.state] for entry in entries)
    failed = [entry for entry in entries if entry.state == "failed"]
    submitted = {entry.track: entry.job for entry in entries if entry.state == "submitted"}
    seconds = sum(entry.duration_s or 0 for entry in entries)
    if as_json:
        document = {
            "tracks": len(entries),
            "states": counts,
            "audio_s": round(seconds, 1),
            "failed": list(map(_row, failed)),
        }
        print_json(document if waits else {**document, "jobs": submitted})
        return len(failed)
    parts = [f"{counts[state]} {state}" for state in dict.fromkeys(_STATES.values()) if counts[state]]
    audio = f"; {span(seconds)} of audio" if seconds else ""
    for job in () if waits else submitted.values():
        say(job)
    click.echo(f"{counted(len(entries), 'track')}: {', '.join(parts)}{audio}", err=not waits)
    names = {track.id: track.shown for track in tracks}
    for entry in failed[:_SHOWN]:
        click.echo(f"  {printable(f'{names[entry.track]}: {entry.code}: {entry.message}')}", err=True)
    if len(failed) > _SHOWN:
        click.echo(f"  ... and {len(failed) - _SHOWN} more, which the summary lists", err=True)
    for code, text in dict.fromkeys((entry.code, advice(entry.code, entry.message)) for entry in failed):
        hint(f"{code}: {text}")
    return len(failed)


def _row(entry: Entry) -> dict[str, Any]:
    files: Mapping[str, str] = entry.files
    values = {name: getattr(entry, name) for name in _COLUMNS}
    return {**values, "state": _STATES[entry.state], "files": dict(files)}
