"""`stemline separate`: separate a file without running the service."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stemline.cli.output import as_json, is_live, print_json, printable, screen
from stemline.cli.source_files import SourceFile, check_stems, source_files
from stemline.cli.words import FOLDER, WORD

if TYPE_CHECKING:
    from rich.table import Table

    from stemline.separation.pipeline import Report

#: A user's own file may have any length; the separator needs a limit, s.
_YEAR_S = 365 * 86_400.0
#: Codecs that change the samples.
_LOSSY = frozenset({"mp3", "aac", "amr"})
#: What looks like a network's fault, by `stemline.separation.shares.Doubt`.
_DOUBTS = {
    "loud": "peaks more than 6 dB above the mix: the network may be broken",
    "silent": "is silent, and the mix is not: the network may be broken",
    "mix": "is the mix itself: the network may be broken",
}


@click.command(name="separate")
@click.argument("sources", nargs=-1, required=True, type=WORD, metavar="SOURCE...")
@click.option(
    "-o",
    "--output",
    required=True,
    type=FOLDER,
    help="Folder for the stems.",
)
@click.option(
    "--stems", type=click.Choice(["2", "4", "5"]), default="2", show_default=True, help="Number of stems."
)
@click.option("--model", help="A model by its name instead, as `stemline models list` shows it.")
@click.option(
    "--codec",
    type=click.Choice(["wav", "mp3", "flac", "aac", "amr"]),
    default="wav",
    show_default=True,
    help="Codec of the stems.",
)
@click.option(
    "--bitrate", type=click.IntRange(8, 1000), help="kbit/s, for mp3 and aac; by default as the source."
)
@click.option(
    "--bit-depth",
    type=click.Choice(["16", "24", "32"]),
    default="16",
    show_default=True,
    help="Bits of a sample: 24 for wav and flac, 32 (floating point, never clipped) for wav.",
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    envvar="STEMLINE_DEVICE",
    help="Device that runs the networks.",
)
@click.option(
    "--engine",
    type=click.Choice(["onnxruntime", "tensorflow"]),
    default="onnxruntime",
    show_default=True,
    envvar="STEMLINE_ENGINE",
    help="Library that runs the networks.",
)
@click.option(
    "--extension",
    type=click.Choice(["average", "upper", "zeros"]),
    default="average",
    show_default=True,
    help="Above 11 kHz: give each stem its average share of the mix, its share from 7.5 to 11 kHz, or zeros,"
    " as Spleeter does.",
)
@click.option(
    "--context",
    type=click.IntRange(0, 256),
    default=0,
    show_default=True,
    help="Frames of the neighbours that a segment sees: 0 is Spleeter and scores best on most mixes;"
    " 64 removes steps at the seams.",
)
@click.option(
    "--refine",
    is_flag=True,
    help="Filter the stems by where their sounds come from as well (multichannel Wiener filter).",
)
@click.option(
    "--audio-track",
    help="Number, from 0, or language of the audio track; by default the one that the file marks.",
)
@as_json
def separate(
    sources: Sequence[str],
    output: Path,
    *,
    stems: str,
    model: str | None,
    codec: str,
    bitrate: int | None,
    bit_depth: str,
    device: str,
    engine: str,
    extension: str,
    context: int,
    refine: bool,
    audio_track: str | None,
    as_json: bool,
) -> None:
    """Separate files into their stems, without the service.

    SOURCE is a file, a folder, which is searched for media files, or a pattern such as 'music/**/*.mp3'.
    Stems are written to a folder as NAME-vocals.wav, NAME-accompaniment.wav and so on; the folders of a
    SOURCE that is a folder are kept. Once all stems of a file are complete, they replace files of these
    names; stems that would replace a SOURCE are refused. The exit status is 1 if one of the files cannot be
    separated.
    """
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from stemline.models.loading import load_engine
    from stemline.separation.extension import Extension
    from stemline.separation.media import MediaLimits, OutputSpec
    from stemline.separation.pipeline import separate_file

    files = source_files(sources, output)
    with _errors():
        loaded = load_engine(model or f"{stems}stems", engine=engine, device=device)
    check_stems(files, loaded.network.instruments, codec)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    console = screen(stderr=True)

    def run(file: SourceFile) -> Report:
        with _errors(), Progress(*columns, console=console, transient=True, disable=not is_live()) as bar:
            task = bar.add_task(escape(printable(file.path.name)), total=1.0)
            file.folder.mkdir(parents=True, exist_ok=True)
            return separate_file(
                loaded,
                file.path,
                {
                    instrument: OutputSpec(
                        file.stem(instrument, codec),
                        codec,
                        bitrate_kbps=bitrate,
                        bit_depth=int(bit_depth),
                    )
                    for instrument in loaded.network.instruments
                },
                limits=MediaLimits(max_duration_s=_YEAR_S, max_bytes=1 << 62),
                progress=lambda share: bar.update(task, completed=share),
                extension=Extension(extension),
                context=context,
                refine=refine,
                track=audio_track,
            )

    failed = 0
    for file in files:
        try:
            report = run(file)
        except click.ClickException as error:
            if len(files) == 1:
                raise
            failed += 1
            click.echo(f"{printable(str(file.path))}: {error.message}", err=True)
        except Exception as error:  # a file of its own kind must not end the others
            if len(files) == 1:
                raise
            failed += 1
            reason = printable(f"{type(error).__name__}: {error}")
            click.echo(
                f"{printable(str(file.path))}: unexpected error, worth a bug report: {reason}", err=True
            )
        else:
            _print(file.path, report, codec, bitrate, as_json=as_json)
    if len(files) > 1:
        click.echo(f"{len(files) - failed} of {len(files)} files separated", err=True)
    if failed:
        raise SystemExit(1)


@contextmanager
def _errors() -> Iterator[None]:
    """Turn errors of the separation and of the disk into one line."""
    from stemline.separation.errors import SeparationError

    try:
        yield
    except SeparationError as error:
        raise click.ClickException(f"{printable(error.message)} ({type(error).__name__})") from error
    except OSError as error:
        reason = ": ".join(str(each) for each in (error.filename, error.strerror) if each)
        raise click.ClickException(printable(reason or type(error).__name__)) from error


def _print(file: Path, report: Report, codec: str, bitrate: int | None, *, as_json: bool) -> None:
    """Print the stems of a file, and on stderr what was measured."""
    seconds = report.seconds["total"]
    if as_json:
        print_json(_fields(file, report))
    else:
        for stem in report.stems.values():
            click.echo(printable(str(stem.path)) if sys.stdout.isatty() else str(stem.path))
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
            " from rounding and clipping alone",
            err=True,
        )
    if report.residual_db is not None:
        click.echo(f"the stems leave {report.residual_db:.0f} dB of the mix's energy", err=True)
    click.echo(
        f"{report.duration_s:.1f} s in {seconds:.1f} s ({report.duration_s / seconds:.0f}x real time)"
        f" on {report.device}",
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
