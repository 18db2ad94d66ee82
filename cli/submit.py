"""``stemline submit``: separate files, objects or whole folders with the service."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from stemline.cli.connection import Connection, connected
from stemline.cli.examples import command_with
from stemline.cli.output import as_json
from stemline.cli.patterns import names_option
from stemline.cli.separation_options import parameters_of, separation_options
from stemline.cli.templates import named_template, stem_files
from stemline.cli.times import FUTURE
from stemline.cli.words import FOLDER, SOURCE, WORD


def _check_names(pattern: str, kinds: Sequence[tuple[str, str]]) -> None:
    """Check that a pattern of names gives each stem a file of its own, whatever its source is.

    Raises:
        click.BadParameter: It does not.
    """
    from stemline.client.tracks.places import targets

    try:
        targets(pattern, {"name": "name", "dir": "", "jobid": "id"}, kinds)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'--names'") from error


def _checked_summary(_context: click.Context, _param: click.Parameter, value: Path | None) -> Path | None:
    """Return the file of the summary, whose extension says what it holds."""
    if value is not None and value.suffix.lower() not in {".csv", ".json"}:
        raise click.BadParameter(f"{value} ends neither with .csv nor with .json")
    return value


@command_with(
    "stemline submit song.mp3 -o stems",
    "stemline submit album/ -o stems --codec mp3 --stems 4",
    "find . -name '*.flac' | stemline submit - -o stems",
)
@click.argument("sources", nargs=-1, required=True, type=SOURCE, metavar="SOURCE...")
@click.option(
    "-o",
    "--output",
    type=FOLDER,
    help="Folder for the stems; the current one for a single source.",
)
@separation_options
@click.option("--template", type=WORD, help="Id or name of a template, instead of the options about stems.")
@click.option("--level", type=click.IntRange(0, 2), default=0, help="A higher level is served first.")
@click.option("--queue", type=WORD, help="Id or name of a queue; the bucket's own by default.")
@click.option("--user-data", default="", help="Text that the job and its callback carry.")
@click.option(
    "--callback", default="", metavar="URL", help="URL that is called when a job ends; `no` for none."
)
@click.option("--not-before", type=FUTURE, help="When the jobs may start: 90m, 2h, 3d from now, or a time.")
@click.option("--deadline", type=FUTURE, help="Cancel jobs that have not started by then.")
@click.option("--timeout", type=click.IntRange(1), help="Longest run of a job, s.")
@click.option("--audio-track", default="", help="Number, from 0, or language of the audio track.")
@names_option
@click.option("--no-wait", is_flag=True, help="Submit only: print the ids of the jobs, fetch no stems.")
@click.option(
    "--cancel-on-interrupt", is_flag=True, help="Ctrl-C cancels what was submitted and has not ended."
)
@click.option("--overwrite", is_flag=True, help="Replace files that are there already.")
@click.option(
    "--jobs",
    default=100,
    show_default=True,
    type=click.IntRange(1),
    help="Of many tracks: how many at once.",
)
@click.option("--retry-failed", is_flag=True, help="Of many tracks: try only those again that failed.")
@click.option("--dry-run", is_flag=True, help="Only check, probe and estimate; of many tracks, count them.")
@click.option(
    "--summary",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_checked_summary,
    help="Of many tracks: a row for each, .csv or .json.  [default: stemline-summary.csv in the output]",
)
@as_json
@connected
def submit(
    connection: Connection,
    *,
    sources: Sequence[str],
    output: Path | None,
    template: str | None,
    level: int,
    queue: str | None,
    user_data: str,
    callback: str,
    not_before: datetime | None,
    deadline: datetime | None,
    timeout: int | None,
    audio_track: str,
    pattern: str,
    no_wait: bool,
    cancel_on_interrupt: bool,
    overwrite: bool,
    jobs: int,
    retry_failed: bool,
    dry_run: bool,
    summary: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Separate a file, an object of the bucket, or many of them.

    SOURCE is a file of this machine, which is uploaded, or an object of the bucket: its key, or
    s3://BUCKET/KEY. Many tracks are several files, a folder, a prefix of keys that ends with /, a list (.txt,
    .m3u) with a path or key on each line, or - for a list on the standard input.

    Of many tracks a manifest is kept in the folder of the output: run the same command again
    to continue after an interruption. Each track is separated once.

    The exit status is 1 if a job failed or was cancelled, and 130 after Ctrl-C; jobs then go on.
    """
    from stemline.cli.refusals import check_options
    from stemline.cli.sources import is_many, key_of
    from stemline.cli.submit_many import ManyTracks, submit_many
    from stemline.cli.submit_one import OneTrack, submit_one, try_one

    parameters = {
        **parameters_of(options, template=template),
        "level": level,
        "user_data": user_data,
        "callback": callback,
        "not_before": not_before,
        "deadline": deadline,
        "timeout_s": timeout,
        "audio_track": audio_track,
    }
    with connection.open(budget_s=5) as client:
        known = named_template(client, template) if template else None
        parameters["template"] = known.id if known else ""
        parameters["queue"] = client.queue(queue).id if queue else ""
        kinds = stem_files(parameters, known)
        _check_names(pattern, kinds)
        if is_many(client, sources):
            if output is None:
                raise click.UsageError("give a folder for the stems and the manifest with -o")
            if not_before or deadline:
                raise click.UsageError(
                    "--not-before and --deadline are for one source: a later run would differ"
                )
            check_options(client, parameters)
            many = ManyTracks(
                sources=sources,
                folder=output,
                pattern=pattern,
                parameters=parameters,
                kinds=kinds,
                jobs=jobs,
                retry_failed=retry_failed,
                overwrite=overwrite,
                waits=not no_wait,
                cancels=cancel_on_interrupt,
                dry_run=dry_run,
                summary=summary,
                as_json=as_json,
            )
            submit_many(client, many)
            return
    source_of = click.get_current_context().get_parameter_source
    for_many = {
        "--retry-failed": retry_failed,
        "--summary": summary is not None,
        "--jobs": source_of("jobs") is ParameterSource.COMMANDLINE,
    }
    if given := [name for name, is_set in for_many.items() if is_set]:
        raise click.UsageError(f"{given[0]} is for many tracks: a folder, a prefix, a list or several files")
    with connection.open(budget_s=60) as client:
        key_of(client, sources[0])  # what is nowhere is said first
        check_options(client, parameters)
        one = OneTrack(
            source=sources[0],
            folder=output or Path(),
            pattern=pattern,
            parameters=parameters,
            kinds=kinds,
            waits=not no_wait,
            cancels=cancel_on_interrupt,
            overwrite=overwrite,
        )
        if dry_run:
            try_one(client, one)
        else:
            submit_one(client, one, as_json=as_json)
