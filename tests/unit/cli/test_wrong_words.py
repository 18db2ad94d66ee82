"""Words that no command can take end it in one line, with the status of their fault."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from stemline.cli.main import main
from stemline.cli.statuses import FAILED, NOT_FOUND, STATUSES, USAGE
from tests.support.raised import classes_in
from tools.docs.references import walk

WORDS = ("", "nan", "-1", "9" * 40, "a" * 5000, "bad\udcff.wav", "a\nb", "{x}", "\u202e", "http://[")
SERVING = {"api", "beat", "demo", "doctor", "flower", "listen", "pull", "store", "up", "worker"}
OPTIONS = [
    (path.removeprefix("stemline "), option.opts[-1])
    for path, command, _ in walk(main, click.Context(main, info_name="stemline"))
    for option in command.params
    if isinstance(option, click.Option) and not option.is_flag and not SERVING & set(path.split())
]


@pytest.mark.parametrize("name", sorted({name for name, _ in OPTIONS}))
def test_no_value_of_an_option_is_a_fault_of_the_program(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Empty, huge, negative and unprintable values of every option are reported, not raised."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("STEMLINE_HOME", str(tmp_path / "none"))
    monkeypatch.setenv("STEMLINE_REDIS_URL", "redis://127.0.0.1:1/0")
    options = [option for command, option in OPTIONS if command == name]
    assert options
    for option in options:
        for word in WORDS:
            ended = CliRunner().invoke(main, [*name.split(), option, word])
            assert ended.exit_code in STATUSES, (option, word)
            assert "unexpected fault" not in ended.stderr, (option, word)
            assert not classes_in(ended.stderr), (option, word)


@pytest.mark.parametrize("name", ["jobs", "callbacks list", "batches list"])
def test_a_limit_has_a_limit(name: str) -> None:
    """More objects than any list has are refused before anything is asked."""
    assert USAGE == CliRunner().invoke(main, [*name.split(), "--limit", "9" * 40]).exit_code


def test_a_source_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    """As with `submit`: the words are right, the file is missing."""
    ended = CliRunner().invoke(main, ["separate", str(tmp_path / "none.wav"), "-o", str(tmp_path / "out")])
    assert NOT_FOUND == ended.exit_code
    assert "Hint: " in ended.stderr


def test_a_table_that_cannot_be_written_is_said() -> None:
    """A full disk behind `models list >` is reported as that of the output."""
    with Path("/dev/full").open("w") as full:
        words = [str(Path(sys.executable).with_name("stemline")), "models", "list"]
        ended = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (FAILED, "Error: the output cannot be written: No space left on device\n") == (
        ended.returncode,
        ended.stderr,
    )
