"""``stemline settings``: the page about all settings, and a check of those that are set."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from stemline.cli.examples import command_with
from stemline.cli.output import as_json, print_json, print_table
from stemline.cli.tables import Column

if TYPE_CHECKING:
    from stemline.runtime.settings import Settings

_COLUMNS = (Column("Variable", is_id=True), Column("Default"), Column("Effect"))


def describe_invalid_settings(error: ValueError) -> str | None:
    """Say which settings are invalid and why, without their values; None for an error of another kind."""
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    from stemline.runtime.errors import StartRefused
    from stemline.runtime.settings import PREFIX, Settings

    if isinstance(error, StartRefused):
        return str(error)
    if isinstance(error, SettingsError):
        cause = f" ({error.__cause__})" if error.__cause__ is not None else ""
        return f"{error}{cause}"
    if not isinstance(error, ValidationError) or error.title != Settings.__name__:
        return None
    lines = []
    for each in error.errors(include_input=False, include_url=False):
        name, *inside = [str(part) for part in each["loc"]] or [""]
        message = each["msg"].removeprefix("Value error, ")
        where = f" at {'.'.join(inside)}" if inside else ""
        lines.append(f"{PREFIX}{name.upper()}{where}: {message}" if name else message)
    return "Invalid settings.\n" + "\n".join(lines)


def check_files(settings: Settings) -> None:
    """Open each file that the settings name.

    Raises:
        click.ClickException: One cannot be used; the message names all of them.
    """
    from stemline.runtime.settings_files import unusable_files

    if faults := unusable_files(settings):
        raise click.ClickException("Invalid settings.\n" + "\n".join(faults))


def _print_warnings(settings: Settings) -> None:
    """Print what others could misuse, and what keeps workers from starting."""
    from stemline.cli.checks.findings import CheckContext, Verdict
    from stemline.cli.checks.security import security
    from stemline.cli.program import spelled
    from stemline.runtime.credentials import CredentialFiles
    from stemline.storage.access_check import HOW_TO_CONFIGURE

    for finding in security(CheckContext(settings)):
        if finding.verdict is Verdict.WARNING:
            click.echo(f"Warning: {finding.message}; {spelled(finding.fix)}.")
    if not CredentialFiles.of(settings).buckets.entries():
        click.echo(f"Warning: no bucket is configured, so no separation worker starts. {HOW_TO_CONFIGURE}")


@command_with("stemline settings", "stemline settings --check")
@click.option("--check", is_flag=True, help="Only check the settings of this environment and their files.")
@as_json
def settings(*, check: bool, as_json: bool) -> None:
    """List all settings with their defaults.

    Where the output is no terminal, it is the page docs/settings.md, in Markdown.
    """
    if check and as_json:
        raise click.UsageError("--check prints no JSON")
    if check:
        from stemline.runtime.message_queues import check_endpoints
        from stemline.runtime.settings import Settings

        current = Settings()
        check_endpoints(current)
        check_files(current)
        click.echo("The settings are valid.")
        _print_warnings(current)
        return
    from stemline.runtime.settings.page import page, rows

    if as_json:
        for row in rows():
            print_json(dict(zip(("group", "variable", "default", "effect"), row, strict=True)))
    elif sys.stdout.isatty():
        print_table(_COLUMNS, [row[1:] for row in rows()])
    else:
        click.echo(page(), nl=False)
