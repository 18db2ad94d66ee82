"""What `stemline separate` prints of a file."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stemline.cli.output import print_json, print_paths, printable, screen

if TYPE_CHECKING:
    from rich.table import Table

    from stemline.separation.pipeline import Report

#: Codecs that change the samples.
_LOSSY = frozenset({"mp3", "aac", "amr"})
#: What looks like a network's fault, by `stemline.separation.shares.Doubt`.
_DOUBTS = {
    "loud": "peaks more than 6 dB above the mix: the network may be broken",
    "silent": "is silent, and the mix is not: the network may be broken",
    "mix": "is the mix itself: the network may be broken",
}


def print_report(file: Path, report: Report, codec: str, bitrate: int | None, *, as_json: bool) -> None:
    """Print the stems of a file, and on stderr what was measured."""
    seconds = report.seconds["total"]
    if as_json:
        print_json(_fields(file, report))
    else:
        for stem in report.stems.values():
            print_paths([stem.path])
    used = {stem.bitrate_bps for stem in report.stems.values()}
    if bitrate is not None and used != {bitrate * 1000}:
        click.echo(_unused_bitrate(codec, bitrate, max(used)), err=True)
    screen(stderr=True).print(_levels(report))
    for name, share in report.shares.items():
        if share.doubt:
            click.echo(f"Warning: {name} {_DOUBTS[share.doubt]}", err=True)
    if report.null_test_db is not None:
        when = "before encoding" if codec in _LOSSY else "as written"
        click.echo(
            f"sum of the stems less the mix, {when}: {report.null_test_db:.0f} dBFS at most,"
            " only from rounding and clipping",
            err=True,
        )
    if report.residual_db is not None:
        click.echo(f"the stems leave {report.residual_db:.0f} dB of the mix's energy", err=True)
    click.echo(
        f"{printable(str(file))}: {report.duration_s:.1f} s in {seconds:.1f} s"
        f" ({report.duration_s / seconds:.0f}x real time) on {report.device}",
        err=True,
    )


def _fields(file: Path, report: Report) -> dict[str, Any]:
    """Return what `--json` prints of a file."""
    stems = report.stems
    return {
        "file": str(file),
        "stems": {name: str(stem.path) for name, stem in stems.items()},
        "levels": {name: asdict(stem.levels) for name, stem in stems.items()},
        "bitrate_kbps": {name: stem.bitrate_bps / 1000 or None for name, stem in stems.items()},
        "shares": {name: asdict(share) for name, share in report.shares.items()},
        "null_test_db": report.null_test_db,
        "residual_db": report.residual_db,
        "audio_s": round(report.duration_s, 3),
        "seconds": round(report.seconds["total"], 3),
        "device": report.device,
    }


def _levels(report: Report) -> Table:
    """Return a table of the levels of the stems."""
    from rich import box
    from rich.table import Table

    table = Table("stem", box=box.SIMPLE_HEAD)
    for name in ("peak dBFS", "clipped", "LUFS", "dB of the mix"):
        table.add_column(name, justify="right")
    for name, stem in report.stems.items():
        levels = stem.levels
        share = report.shares[name].energy_db
        measured = (_level(levels.peak_db, 2), f"{levels.clipped:,}", _level(levels.loudness_lufs, 1))
        table.add_row(name, *measured, _level(share, 1))
    return table


def _level(value: float | None, digits: int) -> str:
    return "silent" if value is None else f"{value:.{digits}f}"


def _unused_bitrate(codec: str, asked_kbps: int, used_bps: int) -> str:
    """Return the sentence that says what became of a bitrate that was asked for."""
    if not used_bps:
        return f"{codec} has no bitrate: {asked_kbps} kbit/s was not used."
    return f"{codec} cannot be written with {asked_kbps} kbit/s here: {used_bps / 1000:g} kbit/s was used."
