"""What newcomers type first, and what they are answered."""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from unittest.mock import Mock

import pytest
from click.testing import CliRunner

from stemline.cli import settings
from stemline.cli.main import main
from stemline.cli.output import size_text
from stemline.runtime.settings.page import page

COMMANDS = ["jobs", "submit", "doctor", "login", "models list", "callbacks list", "store callbacks list"]


@pytest.mark.parametrize("command", COMMANDS)
def test_an_option_before_its_command_is_said_to_come_after(command: str) -> None:
    """As other programs take it; the words that do are given."""
    *groups, name = command.split()
    ended = CliRunner().invoke(main, [*groups, "--json", name])
    assert 2 == ended.exit_code
    called = " ".join(["main", *command.split()])
    assert f"Error: --json comes after the command: {called} ...\n" == ended.stderr.splitlines(True)[0]


@pytest.mark.parametrize("words", [["--jsno", "jobs"], ["--json"], ["--json", "jbos"], ["--codec", "jobs"]])
def test_an_option_that_no_command_here_has_is_no_option(words: list[str]) -> None:
    """Nothing is suggested that would be refused as well."""
    ended = CliRunner().invoke(main, words)
    assert 2 == ended.exit_code
    assert f"No such option '{words[0]}'" in ended.stderr
    assert "comes after" not in ended.stderr


def test_the_version_is_that_of_the_program_whatever_its_path() -> None:
    """Name and version, as the reports of bugs ask for them."""
    ended = CliRunner().invoke(main, ["--version"], prog_name=".venv/bin/stemline")
    assert f"stemline {version('stemline')}\n" == ended.stdout


def test_settings_are_printed_as_json_line_by_line() -> None:
    """Each variable of the page, without marks of Markdown."""
    found = list(map(json.loads, CliRunner().invoke(main, ["settings", "--json"]).stdout.splitlines()))
    on_page = re.findall(r"^\| `(STEMLINE_\w+)`", page(), re.MULTILINE)
    assert on_page == [each["variable"] for each in found]
    assert {"group", "variable", "default", "effect"} == set().union(*found)
    assert "`" not in json.dumps(found)
    assert 2 == CliRunner().invoke(main, ["settings", "--check", "--json"]).exit_code


def test_settings_are_a_table_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person sees no Markdown."""
    drawn: list[tuple[str, ...]] = []
    monkeypatch.setattr(settings, "print_table", lambda _, rows: drawn.extend(rows))
    monkeypatch.setattr(settings, "sys", Mock(**{"stdout.isatty.return_value": True}))
    assert "" == CliRunner().invoke(main, ["settings"]).stdout
    assert ("STEMLINE_LEASE_S", "20.0") in [row[:2] for row in drawn]


def test_a_question_that_nobody_answers_keeps_its_line() -> None:
    """The error is on the next one."""
    ended = CliRunner().invoke(main, ["login"], input="")
    assert (2, "Error: --api is missing, and nobody answers") == (
        ended.exit_code,
        ended.stderr.splitlines()[1],
    )


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0.0 MB"), (49_999, "0.0 MB"), (8_100_000, "8.1 MB"), (999_000_000, "999.0 MB"), (10**9, "1.00 GB")],
)
def test_sizes_have_the_unit_that_shows_them(count: int, text: str) -> None:
    """A hundred short songs are not 0.01 GB."""
    assert text == size_text(count)
