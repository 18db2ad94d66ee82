"""`--json` on every command that reports something."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click
from click.testing import CliRunner

from stemline.cli.main import main

#: Commands that serve until they are stopped, draw what they do, or print a script or a status.
WITHOUT = {"api", "beat", "completion", "demo", "flower", "health", "worker"}


def commands(group: click.Group, names: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Yield every command below a group with its full name."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*names, name))
        elif command is not None:
            yield " ".join((*names, name)), command


def test_every_command_that_reports_prints_json_on_request() -> None:
    """Each command of the tree has --json, but for those named above."""
    found = dict(commands(main))
    assert set(found) >= WITHOUT
    without = {
        name for name, command in found.items() if "--json" not in {o for p in command.params for o in p.opts}
    }
    assert without == WITHOUT


def test_the_model_directory_as_json(tmp_path: Path) -> None:
    """`models where --json` prints one object."""
    done = CliRunner().invoke(main, ["models", "where", "--directory", str(tmp_path), "--json"])
    assert json.loads(done.output) == {"directory": str(tmp_path)}
