"""What a run over many tracks came to."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from stemline.cli.advice import advice
from stemline.cli.output import print_json, span

if TYPE_CHECKING:
    from stemline.client.tracks.manifest import Entry, Manifest
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
    partial = file.with_name(f".{file.name}.partial")
    with partial.open("w", newline="", encoding="utf-8", errors="surrogateescape") as out:
        if file.suffix.lower() == ".json":
            json.dump(rows, out, indent=2)
        else:
            writer = csv.DictWriter(out, _COLUMNS)
            writer.writeheader()
            writer.writerows({**row, "files": ";".join(row["files"].values())} for row in rows)
    partial.replace(file)


def print_summary(manifest: Manifest, tracks: Iterable[Track], *, as_json: bool) -> int:
    """Print how many tracks are in each state, and why some failed; return how many did."""
    entries = [manifest.entry(track.id) for track in tracks]
    counts = Counter(_STATES[entry.state] for entry in entries)
    failed = [entry for entry in entries if entry.state == "failed"]
    seconds = sum(entry.duration_s or 0 for entry in entries)
    if as_json:
        print_json(
            {
                "tracks": len(entries),
                "states": counts,
                "audio_s": round(seconds, 1),
                "failed": list(map(_row, failed)),
            }
        )
        return len(failed)
    parts = [f"{counts[state]} {state}" for state in dict.fromkeys(_STATES.values()) if counts[state]]
    click.echo(
        f"{len(entries)} tracks: {', '.join(parts)}" + (f"; {span(seconds)} of audio" if seconds else "")
    )
    for entry in failed[:_SHOWN]:
        click.echo(f"  {printable(entry.track)}: {entry.code}: {entry.message}", err=True)
    if len(failed) > _SHOWN:
        click.echo(f"  ... and {len(failed) - _SHOWN} more, which the summary lists", err=True)
    for code in dict.fromkeys(entry.code for entry in failed):
        click.echo(f"Hint: {code}: {advice(code)}", err=True)
    return len(failed)


def printable(name: str) -> str:
    """Return a name that every terminal takes, also of a file whose name is not UTF-8."""
    text = name.encode("utf-8", "replace").decode()
    return "".join(each if each.isprintable() else "?" for each in text)


def _row(entry: Entry) -> dict[str, Any]:
    files: Mapping[str, str] = entry.files
    values = {name: getattr(entry, name) for name in _COLUMNS}
    return {**values, "state": _STATES[entry.state], "files": dict(files)}
