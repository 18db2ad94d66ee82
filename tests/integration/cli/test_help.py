"""The help of the commands."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from click.testing import CliRunner

from stemline.cli.main import LazyGroup, main
from stemline.cli.program import program, spelled

IMPORTED = """
import sys
from stemline.cli.main import main
main(["--help"], standalone_mode=False)
print(*{name.partition(".")[0] for name in sys.modules}, file=sys.stderr)
"""


def test_the_help_imports_no_library_but_click():
    """`stemline --help` is fast: it lists the commands without importing what they need."""
    command = [sys.executable, "-P", "-c", IMPORTED]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    libraries = packages_distributions().keys() - {"stemline"}
    imported = {name for name in done.stderr.split() if name in libraries}
    # Editable installations and coverage have modules that the interpreter imports at its start.
    assert {"click"} == {name for name in imported if not name.startswith(("_", "coverage"))}
    assert LazyGroup.commands_by_name
    assert all(name in done.stdout for name in LazyGroup.commands_by_name)


@pytest.mark.parametrize(
    "group",
    [(), ("batches",), ("callbacks",), ("models",), ("store",), ("store", "callbacks"), ("templates",)],
)
def test_summaries_fit_into_the_list_of_commands(group: tuple[str, ...]):
    """No summary of a command is cut off in the help of its group."""
    lines = CliRunner().invoke(main, [*group, "--help"], terminal_width=80).output.splitlines()
    commands = lines[lines.index("Commands:") + 1 :]
    assert commands
    assert [] == [line for line in commands if line.endswith("...")]


@pytest.mark.parametrize("name", LazyGroup.commands_by_name)
def test_every_command_has_a_help(name: str):
    """Each command prints its usage and a description that ends with a full stop."""
    ran = CliRunner().invoke(main, [name, "--help"])
    assert 0 == ran.exit_code, ran.output
    assert ran.output.startswith(f"Usage: main {name}")
    description = main.get_command(None, name).help.split("\n\n")[0]
    assert description.endswith((".", ")."))


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["sumbit"], "There is no command 'sumbit'. Did you mean submit?", "main --help"),
        (["submit"], "Missing argument 'SOURCE...'.", "main submit --help"),
        (["--wath"], "No such option '--wath'.", "main --help"),
        (["jobs", "--limt"], "No such option '--limt'. Did you mean '--limit'?", "main jobs --help"),
        (["templates", "remove"], "There is no command 'remove'.", "main templates --help"),
    ],
)
def test_wrong_words_are_said_in_one_line_with_a_hint(words: list[str], message: str, hint: str):
    """A wrong command line ends with status 2, one line that says why, and one that says where to look."""
    ran = CliRunner().invoke(main, words)
    assert (2, f"Error: {message}\nHint: see `{hint}`\n") == (ran.exit_code, ran.stderr)


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({"PATH": "/usr/bin"}, ".venv/bin/stemline"),
        ({"PATH": "BIN:/usr/bin"}, "stemline"),
        ({"PATH": "BIN:/usr/bin", "MAKELEVEL": "1"}, ".venv/bin/stemline"),
        ({"PATH": "BIN:BIN:/usr/bin", "MAKELEVEL": "1", "VIRTUAL_ENV": "PREFIX"}, "stemline"),
    ],
)
def test_hints_name_the_command_as_the_shell_finds_it(
    variables: dict[str, str], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """In a checkout it is .venv/bin/stemline, also below make, which alone has that folder on its PATH."""
    script = tmp_path / ".venv" / "bin" / "stemline"
    script.parent.mkdir(parents=True)
    script.touch(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    for variable in ("MAKELEVEL", "VIRTUAL_ENV"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value.replace("BIN", str(script.parent)).replace("PREFIX", sys.prefix))
    program.cache_clear()
    try:
        assert (name, f"run `{name} up`") == (program(), spelled("run `stemline up`"))
    finally:
        program.cache_clear()


class Keys(io.RawIOBase):
    """A standard input at which Ctrl-C is pressed, or which has ended."""

    def __init__(self, *, ctrl_c: bool):
        self._ctrl_c = ctrl_c

    def readable(self) -> bool:
        return True

    def readinto(self, _buffer: object) -> int:
        if self._ctrl_c:
            raise KeyboardInterrupt
        return 0


@pytest.mark.parametrize(("ctrl_c", "status"), [(True, 130), (False, 2)])
def test_ctrl_c_at_a_question_is_status_130(ctrl_c: bool, status: int):
    """Ctrl-C ends a command that asks for something with its own status; the end of the input does not."""
    typed = io.BufferedReader(Keys(ctrl_c=ctrl_c))
    ended = CliRunner().invoke(main, ["login"], input=typed)
    assert status == ended.exit_code
    assert ctrl_c or "--api is missing, and nobody answers" in ended.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--names", "../{name}-{stem}.{ext}"], "leads out of the folder"),
        (["--names", "/tmp/{stem}.{ext}"], "leads out of the folder"),
        (["--summary", "all.txt"], "ends neither with .csv nor with .json"),
    ],
)
def test_options_that_would_be_changed_silently_are_refused(words: list[str], said: str):
    """A pattern that leads elsewhere, and a summary of another kind, are wrong words of the command line."""
    ended = CliRunner().invoke(main, ["submit", "album/", "-o", "out", *words])
    assert (2, True) == (ended.exit_code, said in ended.stderr), ended.stderr


def test_a_bare_command_says_what_to_do_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Without a service it names the ways to one; with one it names the first commands to use."""
    monkeypatch.setenv("STEMLINE_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    first = CliRunner().invoke(main)
    assert 0 == first.exit_code
    assert "stemline up" in first.output
    assert "stemline login" in first.output
    monkeypatch.setenv("STEMLINE_API", "http://127.0.0.1:9")
    assert "stemline submit song.mp3 -o stems" in CliRunner().invoke(main).output


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands(shell: str):
    """The script of each shell asks the command itself, which completes its commands and options."""
    script = CliRunner().invoke(main, ["completion", shell]).output
    assert f"_STEMLINE_COMPLETE={shell}_complete" in script
    words = {"COMP_WORDS": "stemline templates cr", "COMP_CWORD": "cr" if shell == "fish" else "2"}
    variables = {**os.environ, **words, "_STEMLINE_COMPLETE": f"{shell}_complete"}
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; sys.argv = ['stemline']; from stemline.cli.main import main; main()",
        ],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "create" in done.stdout, done.stderr
