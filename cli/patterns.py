"""The option that names the files of stems."""

from __future__ import annotations

import click

from stemline.cli.words import WORD


def _checked(_context: click.Context, _param: click.Parameter, value: str | None) -> str:
    """Return the pattern of the names of files."""
    from stemline.client.names import DEFAULT_PATTERN, check_pattern

    try:
        check_pattern(value or DEFAULT_PATTERN)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    return value or DEFAULT_PATTERN


names_option = click.option(
    "--names",
    "pattern",
    type=WORD,
    callback=_checked,
    metavar="PATTERN",
    help="Names of the files: {dir}, {name}, {stem}, {jobid}, {ext}.  [default: {dir}/{name}-{stem}.{ext}]",
)
