"""``stemline templates``: named separation parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from stemline.cli.connection import Connection, connected
from stemline.cli.examples import examples
from stemline.cli.exits import CommandFailed
from stemline.cli.group import Group
from stemline.cli.output import as_json, local_time, print_json, print_objects, say
from stemline.cli.separation_options import parameters_of, separation_options
from stemline.cli.statuses import NOT_FOUND
from stemline.cli.tables import Column
from stemline.cli.words import WORD

if TYPE_CHECKING:
    from stemline.client import Client, Template

_COLUMNS = (
    Column("Template", is_id=True),
    Column("Name"),
    Column("Mode", min_width=80),
    Column("Audio", min_width=100),
    Column("Updated", min_width=120, is_extra=True),
)


@click.group(name="templates", cls=Group)
def templates() -> None:
    """List, create and delete templates of separation parameters."""


@templates.command(name="list", **examples("stemline templates list"))
@click.option("--name", default="", help="Only those whose names begin with this.")
@as_json
@connected
def list_(connection: Connection, *, name: str, as_json: bool) -> None:
    """List the templates of the bucket."""
    with connection.open() as client:
        found = client.templates(prefix=name)
        print_objects(found, _COLUMNS, _row, as_json=as_json, empty="No templates.")


@templates.command(**examples("stemline templates create karaoke --only background --codec mp3"))
@click.argument("name", type=WORD)
@separation_options
@as_json
@connected
def create(connection: Connection, *, name: str, as_json: bool, **options: Any) -> None:
    """Create a template NAME; `submit --template` uses it."""
    parameters = parameters_of(options)
    with connection.open() as client:
        template = client.create_template(name, **parameters)
        if as_json:
            print_json(template.raw)
        else:
            say(template.id)


@templates.command(**examples("stemline templates delete karaoke"))
@click.argument("names", nargs=-1, required=True, type=WORD, metavar="TEMPLATE...")
@as_json
@connected
def delete(connection: Connection, *, names: Sequence[str], as_json: bool) -> None:
    """Delete templates; jobs already submitted keep their copy."""
    deleted, missing = [], []
    with connection.open() as client:
        for name in dict.fromkeys(names):
            template = _deleted(client, name)
            if not template:
                missing.append(name)
                continue
            deleted.append(template)
            if not as_json:
                say(template)
    if as_json:
        print_json({"deleted": deleted, "missing": missing})
    if missing:
        raise _missing(client, *missing)


def _deleted(client: Client, name: str) -> str:
    """Delete the template with an id or a name, and return its id; empty if there is no such template."""
    from stemline.client import NotFound

    for each in (name, *(template.id for template in client.templates() if template.name == name)):
        with suppress(NotFound):
            client.delete_template(each)
            return each
    return ""


def named_template(client: Client, name: str) -> Template:
    """Return the template of an id or a name.

    Raises:
        CommandFailed: There is none.
    """
    for each in client.templates():
        if name in {each.id, each.name}:
            return each
    raise _missing(client, name)


def _missing(client: Client, *names: str) -> CommandFailed:
    """Return how a command ends for which templates are missing."""
    hint = f"`stemline templates list` shows those of {client.target.bucket}"
    return CommandFailed(f"there is no template {', '.join(names)}", hint=hint, status=NOT_FOUND)


def stem_files(parameters: Mapping[str, Any], template: Template | None) -> Sequence[tuple[str, str]]:
    """Return name and extension of each stem that a job makes.

    Args:
        parameters: Parameters of :class:`stemline.client.Submission`.
        template: Template that replaces them.
    """
    from stemline.client import Submission

    if template is None:
        return Submission("", **parameters).stem_files()
    return Submission("", mode=template.mode, codec=template.audio.get("Codec", "wav")).stem_files()


def _row(template: Template) -> tuple[str, ...]:
    audio = " ".join(f"{name}={value}" for name, value in template.audio.items())
    if template.model:
        audio += f" Model={template.model}"
    return (template.id, template.name, template.mode, audio, local_time(template.updated))
