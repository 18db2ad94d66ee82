"""Files and folders on the command line: shells complete them, and a missing one has one status."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner

from stemline.cli.main import main
from stemline.cli.statuses import NOT_FOUND, USAGE

ONNX = ["--licence", "MIT", "-o", "x"]


def completed(*words: str, beginning: str = "") -> set[tuple[str, str]]:
    """What a shell completes a word with: kind and value."""
    complete = BashComplete(main, {}, "stemline", "_STEMLINE_COMPLETE")
    return {(item.type, item.value) for item in complete.get_completions(list(words), beginning)}


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["submit"], "file"),
        (["submit", "song.mp3"], "file"),
        (["submit", "-o"], "dir"),
        (["submit", "--summary"], "file"),
        (["separate"], "file"),
        (["separate", "-o"], "dir"),
        (["fetch", "-o"], "dir"),
        (["demo"], "file"),
        (["batches", "create", "--list"], "file"),
        (["models", "add"], "file"),
        (["models", "add", "--card"], "file"),
        (["models", "pull", "--from"], "file"),
        (["models", "list", "--directory"], "dir"),
        (["models", "export", "demucs"], "file"),
        (["login", "--ca-file"], "file"),
    ],
)
def test_shells_complete_files_and_folders(words: list[str], kind: str) -> None:
    """The shell itself looks for them, as the kind that the command takes."""
    assert {(kind, "al")} == completed(*words, beginning="al")


def test_shells_complete_profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the file of profiles; none without one."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert set() == completed("jobs", "--profile")
    (tmp_path / "stemline").mkdir()
    (tmp_path / "stemline" / "profiles.ini").write_text("[second]\napi = http://a\n[third]\napi = http://b\n")
    assert {("plain", "second")} == completed("jobs", "--profile", beginning="se")
    ended = CliRunner().invoke(main, ["jobs", "--profile", "first"])
    assert "there is no profile first" in ended.output
    assert "only second, third" in ended.output


@pytest.mark.parametrize(
    "words",
    [
        ["separate", "none.mp3"],
        ["separate", "none.mp3", "-o", "out"],
        ["demo", "none.mp3"],
        ["batches", "create", "--list", "none.txt"],
        ["models", "add", "none.onnx", "--card", __file__],
        ["models", "add", __file__, "--card", "none.toml"],
        ["models", "export", "demucs", "none.th", *ONNX],
        ["models", "export", "roformer", "none.ckpt", "--config", __file__, *ONNX],
        ["models", "export", "roformer", __file__, "--config", "none.yaml", *ONNX],
    ],
    ids=" ".join,
)
def test_a_file_that_is_missing_has_the_status_of_what_was_not_found(words: list[str]) -> None:
    """Whatever command it is given to; `submit` is tried beside a service."""
    ended = CliRunner().invoke(main, words)
    assert NOT_FOUND == ended.exit_code, ended.output
    assert "there is no file none." in ended.output.replace("\n", " ")


def test_many_files_need_a_folder(tmp_path: Path) -> None:
    """The stems of one file go into the current folder, as those of `submit` do; those of a folder do not."""
    (tmp_path / "a.wav").touch()
    ended = CliRunner().invoke(main, ["separate", str(tmp_path)])
    assert USAGE == ended.exit_code
    assert "with -o" in ended.output


def test_an_empty_name_is_no_file() -> None:
    """A variable that is not set is refused as such."""
    for kind in ("submit", "separate"):
        ended = CliRunner().invoke(main, [kind, ""])
        assert USAGE == ended.exit_code
        assert isinstance(ended.exception, SystemExit | click.ClickException)
