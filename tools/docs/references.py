"""The pages of the site that are made from the code: commands and client."""

from __future__ import annotations

import html
import inspect
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.util import find_spec

import click

from stemline.cli.examples import CommandWithExamples
from stemline.cli.main import main

#: An option that as many commands have is listed once.
_MANY = 6

CLIENT = """# The Python client, name by name

`stemline.client`, made from its docstrings.

::: stemline.client
"""


def pages() -> dict[str, str]:
    """Return the text of each page by its file name."""
    made = {"commands.md": commands()}
    if find_spec("stemline.client") is not None:
        made["client.md"] = CLIENT
    return made


def commands() -> str:
    """Return the page of all commands, with their arguments and options."""
    found = list(walk(main, click.Context(main, info_name="stemline")))
    counts = Counter(row for _, command, context in found for row in rows_of(command, context))
    common = [row for row, count in counts.items() if count >= _MANY]
    parts = [
        "# Commands",
        "Every command with its options, made from the code: the same as `stemline COMMAND --help`.",
        "## Options of many commands",
        "They are the same wherever they are, and are not listed again below.",
        table(common),
    ]
    for path, command, context in found:
        parts += section(path, command, context, without=common)
    return "\n\n".join(parts) + "\n"


def walk(
    command: click.Command, context: click.Context
) -> Iterator[tuple[str, click.Command, click.Context]]:
    """Yield each command below a group, and the groups, in the order of their names."""
    if not isinstance(command, click.Group):
        return
    for name in command.list_commands(context):
        child = command.get_command(context, name)
        if child is None or child.hidden:
            continue
        inner = click.Context(child, info_name=name, parent=context)
        yield inner.command_path, child, inner
        yield from walk(child, inner)


def section(
    path: str, command: click.Command, context: click.Context, *, without: Sequence[str] = ()
) -> list[str]:
    """Return heading, usage, description and options of one command, but for those listed elsewhere."""
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    parts = ["#" * (1 + path.count(" ")) + f" {path}", f"```text\n{usage}\n```", text_of(command.help or "")]
    if rows := [row for row in rows_of(command, context) if row not in without]:
        parts.append(table(rows))
    if isinstance(command, CommandWithExamples):
        parts.append("```text\n" + "\n".join(command.examples) + "\n```")
    return [part for part in parts if part]


def rows_of(command: click.Command, context: click.Context) -> list[str]:
    """Return a row of a table for each option, and for each argument that has an explanation of its own."""
    records = [parameter.get_help_record(context) for parameter in command.get_params(context)]
    return [
        f"| {code(record[0])} | {cell(record[1])} |"
        for record in records
        if record is not None and record[1] and "--help" not in record[0]
    ]


def table(rows: Sequence[str]) -> str:
    """Return a table of options."""
    return "\n".join(["| Option | Meaning |", "|---|---|", *rows])


def text_of(help_text: str) -> str:
    r"""Return a help text as Markdown; paragraphs that begin with ``\b`` keep their lines."""
    paragraphs = re.split(r"\n\s*\n", inspect.cleandoc(help_text).partition("\f")[0])
    return "\n\n".join(
        "```text\n" + paragraph.removeprefix("\b").strip("\n") + "\n```"
        if paragraph.startswith("\b")
        else escaped(paragraph)
        for paragraph in paragraphs
    )


def escaped(text: str) -> str:
    """Return a text in which what would be a tag is shown; code keeps its signs, which Markdown shows."""
    parts = text.split("`")
    return "`".join(part if place % 2 else part.replace("<", "&lt;") for place, part in enumerate(parts))


def cell(text: str) -> str:
    """Return a text that fits into a cell of a table."""
    return escaped(text).replace("|", "&#124;").replace("\n", " ")


def code(text: str) -> str:
    """Return code that fits into a cell of a table: in HTML, since no escape works between backquotes."""
    return f"<code>{html.escape(text, quote=False).replace('|', '&#124;')}</code>"
