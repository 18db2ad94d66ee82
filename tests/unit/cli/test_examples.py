"""The examples in the help of the commands."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from stemline.cli.examples import CommandWithExamples
from stemline.cli.main import main
from tools.docs.references import section, walk

COMMANDS = {
    path: command
    for path, command, _ in walk(main, click.Context(main, info_name="stemline"))
    if not isinstance(command, click.Group)
}
FILES = ("song.mp3", "keys.txt", "htdemucs.onnx", "htdemucs.toml", "955717e8.safetensors", "model.ckpt")


def lines_of(path: str) -> tuple[str, ...]:
    command = COMMANDS[path]
    assert isinstance(command, CommandWithExamples), path
    return command.examples


@pytest.mark.parametrize("path", COMMANDS)
def test_the_help_of_every_command_ends_with_examples(path: str) -> None:
    """One to three lines that call this command, whole at every width, as the user calls the program."""
    lines = lines_of(path)
    assert 1 <= len(lines) <= 3
    words = path.removeprefix("stemline ").split()
    shown = CliRunner().invoke(main, [*words, "--help"], prog_name="bin/stemline", terminal_width=40).output
    for line in lines:
        assert f"{path} " in f"{line} "
        assert f"\n  {line.replace(path, f'bin/{path}')}\n" in shown


@pytest.mark.parametrize("path", COMMANDS)
def test_examples_are_understood(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands, options and values of every example are read without an error, where its files are there."""
    monkeypatch.chdir(tmp_path)
    for name in (*FILES, "model.yaml", "weights.tar"):
        Path(name).write_text("x")
    Path("album").mkdir()
    called: list[str] = []
    monkeypatch.setattr(COMMANDS[path], "callback", lambda **_: called.append(path))
    for line in lines_of(path):
        ran = CliRunner().invoke(main, shlex.split(line.rpartition("| ")[2])[1:])
        assert 0 == ran.exit_code, ran.output
    assert len(called) == len(lines_of(path))


def test_the_page_of_commands_has_the_examples() -> None:
    """They are below the options of each command."""
    command = COMMANDS["stemline pause"]
    parts = section("stemline pause", command, click.Context(command, info_name="pause"))
    assert parts[-1] == "```text\nstemline pause\nstemline pause queue-speech-1\n```"
