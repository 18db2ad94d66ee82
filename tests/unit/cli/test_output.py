"""What commands print as a table on a terminal."""

from __future__ import annotations

import json
import sys

import pytest
from rich.console import Console

from stemline.cli.output import Column, print_json, print_table, table


def test_a_long_text_beside_an_id_is_wrapped_whole() -> None:
    """On a narrow terminal ids stay in one piece, and no letter of the texts beside them is lost."""
    job, source = "j" + "0" * 32, "uploads/f8e3e6ea5c0a7e32/4e8c6b696793567c/one.mp3"
    console = Console(width=60)
    with console.capture() as captured:
        console.print(table([Column("Job", is_id=True), Column("Source")], [[job, source]], console.width))
    lines = captured.get().splitlines()[1:]
    assert lines[0].startswith(f"{job}  ")
    assert source == "".join(line[len(job) :].strip() for line in lines)


HOSTILE = ("\x1b[31m", "\x9b31m", "\x85", "\u2028", "\u202e", "\u2066", "\ud83d", "\x07")


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("on_terminal", [True, False])
def test_no_text_of_a_client_commands_the_terminal(text: str, on_terminal: bool, capsys, monkeypatch) -> None:
    """Controls, also those of C1, line separators and marks of direction reach no terminal from a table."""
    monkeypatch.setenv("TERM", "dumb")  # no styles of our own
    monkeypatch.setattr(sys.stdout, "isatty", lambda: on_terminal)
    print_table([Column("Key")], [[f"in/{text}gpj.exe"]])
    printed = capsys.readouterr().out
    assert "gpj.exe" in printed
    assert text not in printed
    assert all(each.isprintable() or each == "\n" for each in printed)


@pytest.mark.parametrize("text", HOSTILE)
def test_json_escapes_what_a_terminal_would_obey(text: str, capsys) -> None:
    """JSON is printed with such letters as escapes, and stays the same value."""
    print_json({"key": f"in/{text}Ä"})
    printed = capsys.readouterr().out
    assert text not in printed
    assert printed.rstrip("\n").isprintable()
    assert {"key": f"in/{text}Ä"} == json.loads(printed)
