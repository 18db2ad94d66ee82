"""`stemline separate`: separate a file without running the service."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from stemline.cli.examples import command_with
from stemline.cli.exits import ending_like_ctrl_c, failure
from stemline.cli.output import as_json, hint, is_live, printable, screen
from stemline.cli.separation_report import print_report
from stemline.cli.separator_errors import separator_errors
from stemline.cli.source_files import SourceFile, check_stems, source_files
from stemline.cli.words import FOLDER, SOURCE
from stemline.runtime.garbage import collect_as_usual

if TYPE_CHECKING:
    from stemline.separation.engine import LoadedEngine
    from stemline.separation.pipeline import Report

#: A user's own file may have any length; the separator needs a limit, s.
_YEAR_S = 365 * 86_400.0
#: Of a file whose header does not say it: 128 kbit/s.
_BYTES_PER_S = 16_000


def _other_model(context: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """Return the model, unless other stems were asked for, which it would not make."""
    is_given = context.get_parameter_source("stems") is ParameterSource.COMMANDLINE
    if value and is_given and value != f"{context.params['stems']}stems":
        raise click.UsageError("--stems or --model: a model has the stems of its card")
    return value


@command_with(
    "stemline separate song.mp3 -o stems", "stemline separate album/ -o stems --codec flac", name="separate"
)
@click.argument("sources", nargs=-1, required=True, type=SOURCE, metavar="SOURCE...")
@click.option(
    "-o",
    "--output",
    type=FOLDER,
    help="Folder for the stems; the current one for a single file.",
)
@click.option(
    "--stems",
    type=click.Choice(["2", "4", "5"]),
    default="2",
    show_default=True,
    is_eager=True,
    help="Number of stems.",
)
@click.option(
    "--model",
    callback=_other_model,
    help="A model by its name instead, as `stemline models list` shows it.",
)
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
    help="Frames of neighbouring segments that the network sees: 0 is Spleeter and scores best on most"
    " mixes; 64 removes steps at the seams.",
)
@click.option(
    "--refine",
    is_flag=True,
    help="Also filter the stems by their place in the stereo image (multichannel Wiener filter).",
)
@click.option(
    "--audio-track",
    help="Number, from 0, or language of the audio track; by default the one that the file marks.",
)
@as_json
def separate(
    sources: Sequence[str],
    output: Path | None,
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
    from stemline.models.checksums import known_sha256
    from stemline.models.loading import load_engine
    from stemline.separation.heap import keep_heap

    keep_heap()
    files = source_files(sources, output)
    # Opening the networks leaves the interpreter lock to others for most of its time.
    with _no_garbage(), ThreadPoolExecutor(1, thread_name_prefix="load") as executor:
        at_once = 1 if all(_is_short(file.path) for file in files) else None
        loading = executor.submit(
            load_engine,
            model or f"{stems}stems",
            engine=engine,
            device=device,
            at_once=at_once,
            digest=known_sha256,
        )

        from rich.markup import escape
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

        from stemline.cli.bars import Bars
        from stemline.separation.extension import Extension
        from stemline.separation.media import MediaLimits, OutputSpec
        from stemline.separation.pipeline import separate_file

        with separator_errors():
            loaded = loading.result()
    check_stems(files, loaded.network.instruments, codec)
    _check_options(
        loaded, {"--extension": extension != "average", "--context": context > 0, "--refine": refine}
    )
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    console = screen(stderr=True)

    def run(file: SourceFile) -> Report:
        with (
            ending_like_ctrl_c(),
            separator_errors(),
            Bars(*columns, console=console, transient=True, disable=not is_live()) as bar,
        ):
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

    _separate_each(
        files, run, lambda file, report: print_report(file.path, report, codec, bitrate, as_json=as_json)
    )


@contextmanager
def _no_garbage() -> Iterator[None]:
    """Collect no garbage while modules are loaded, and never look through them, not even at the end."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
        collect_as_usual()


def _separate_each(
    files: Sequence[SourceFile],
    separate_one: Callable[[SourceFile], Report],
    print_one: Callable[[SourceFile, Report], None],
) -> None:
    """Separate files one after the other; of several, one that cannot be separated does not end the others.

    Raises:
        SystemExit: One of several could not be separated.
    """
    failed = 0
    for file in files:
        try:
            report = separate_one(file)
        except click.ClickException as error:
            if len(files) == 1:
                raise
            failed += 1
            click.echo(f"{printable(str(file.path))}: {error.message}", err=True)
        except Exception as error:  # a file of its own kind must not end the others
            if len(files) == 1:
                raise
            failed += 1
            ended = failure(error)
            click.echo(f"{printable(str(file.path))}: {ended.message}", err=True)
            hint(ended.hint)
        else:
            print_one(file, report)
    if len(files) > 1:
        click.echo(f"{len(files) - failed} of {len(files)} files separated", err=True)
    if failed:
        raise SystemExit(1)


def _is_short(path: Path) -> bool:
    """Return whether a file seems to fit into a segment, by its size: a guess that matters to speed alone."""
    from stemline.separation.network import HOP, SAMPLE_RATE, SEGMENT_FRAMES

    try:
        with path.open("rb") as file:
            head = file.read(32)
        bytes_per_s = int.from_bytes(head[28:32], "little") if head[:4] == b"RIFF" else _BYTES_PER_S
        return path.stat().st_size <= SEGMENT_FRAMES * HOP / SAMPLE_RATE * bytes_per_s
    except OSError:
        return False


def _check_options(loaded: LoadedEngine, spleeters: Mapping[str, bool]) -> None:
    """Refuse options that are for Spleeter's networks, by whether they are given, where none is run."""
    from stemline.separation.separators import runs_spleeter

    given = ", ".join(name for name, is_given in spleeters.items() if is_given)
    if given and not runs_spleeter(loaded):
        raise click.UsageError(f"{given}: only for Spleeter's networks, and {loaded.network.name} has none")
