"""`stemline separate`: separate a file without running the service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.table import Table

    from stemline.separation.pipeline import Report

#: A user's own file may have any length; the separator needs a limit, s.
_YEAR_S = 365 * 86_400.0


@click.command(name="separate")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the stems.",
)
@click.option(
    "--stems", type=click.Choice(["2", "4", "5"]), default="2", show_default=True, help="Number of stems."
)
@click.option(
    "--codec",
    type=click.Choice(["wav", "mp3", "flac", "aac", "amr"]),
    default="wav",
    show_default=True,
    help="Codec of the stems.",
)
@click.option("--bitrate", type=int, help="kbit/s, for mp3 and aac; by default as the source.")
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
def separate(
    file: Path,
    output: Path,
    *,
    stems: str,
    codec: str,
    bitrate: int | None,
    bit_depth: str,
    device: str,
    engine: str,
    extension: str,
    context: int,
    refine: bool,
    audio_track: str | None,
) -> None:
    """Separate FILE into its stems.

    They are written to a folder as NAME-vocals.wav, NAME-accompaniment.wav and so on.
    """
    from concurrent.futures import ThreadPoolExecutor

    from stemline.models.loading import load_engine

    name = f"{stems}stems"
    with ThreadPoolExecutor(1) as executor:
        # The engine loads mostly outside of Python; the imports below run meanwhile.
        loading = executor.submit(load_engine, name, engine=engine, device=device)
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        from stemline.models.catalogue import model_named
        from stemline.separation.errors import SeparationError
        from stemline.separation.extension import Extension
        from stemline.separation.media import MediaLimits, OutputSpec
        from stemline.separation.pipeline import separate_file

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(file.name, total=1.0)
            loaded = loading.result()
            output.mkdir(parents=True, exist_ok=True)
            report = separate_file(
                loaded,
                file,
                {
                    instrument: OutputSpec(
                        output / f"{file.stem}-{instrument}.{codec}",
                        codec,
                        bitrate_kbps=bitrate,
                        bit_depth=int(bit_depth),
                    )
                    for instrument in model_named(name).instruments
                },
                limits=MediaLimits(max_duration_s=_YEAR_S, max_bytes=1 << 62),
                progress=lambda share: bar.update(task, completed=share),
                extension=Extension(extension),
                context=context,
                refine=refine,
                track=audio_track,
            )
    except SeparationError as error:
        raise click.ClickException(f"{error.message} ({type(error).__name__})") from error
    except OSError as error:
        raise click.ClickException(": ".join(filter(None, (error.filename, error.strerror)))) from error
    for stem in report.stems.values():
        print(stem.path)
    used = {stem.bitrate_bps for stem in report.stems.values()}
    if bitrate is not None and used != {bitrate * 1000}:
        click.echo(_unused_bitrate(codec, bitrate, max(used)), err=True)
    Console(stderr=True).print(_levels(report))
    seconds = report.seconds["total"]
    click.echo(
        f"{report.duration_s:.1f} s in {seconds:.1f} s ({report.duration_s / seconds:.0f}x real time)"
        f" on {report.device}",
        err=True,
    )


def _levels(report: Report) -> Table:
    """Return a table of the levels of the stems."""
    from rich import box
    from rich.table import Table

    table = Table("stem", box=box.SIMPLE_HEAD)
    for name in ("peak dBFS", "clipped", "LUFS"):
        table.add_column(name, justify="right")
    for name, stem in report.stems.items():
        levels = stem.levels
        table.add_row(name, _level(levels.peak_db, 2), f"{levels.clipped:,}", _level(levels.loudness_lufs, 1))
    if report.null_test_db is not None:
        table.caption = f"sum of the stems less the mix: {report.null_test_db:.0f} dBFS at most"
    return table


def _level(value: float | None, digits: int) -> str:
    return "silent" if value is None else f"{value:.{digits}f}"


def _unused_bitrate(codec: str, asked_kbps: int, used_bps: int) -> str:
    """Return the sentence that says what became of a bitrate that was asked for."""
    if not used_bps:
        return f"{codec} has no bitrate: {asked_kbps} kbit/s was not used."
    return f"{codec} cannot be written with {asked_kbps} kbit/s here: {used_bps / 1000:g} kbit/s was used."
