"""How commands end: what is said of an error, and what to do about it."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest
from click.testing import CliRunner

from stemline.cli.exits import ending_like_ctrl_c, failure
from stemline.cli.first_steps import first_steps
from stemline.cli.main import main
from stemline.cli.refusals import refused
from stemline.cli.script import run
from stemline.client.errors import AccessDenied, ApiError, TransferFailed
from tests.paths import REPOSITORY
from tools.docs.references import walk

STEMLINE = Path(sys.executable).with_name("stemline")
VALUES = {
    path: option.opts[-1]
    for path, command, _ in walk(main, click.Context(main, info_name="stemline"))
    for option in command.params
    if isinstance(option, click.Option) and not option.is_flag
}
"""An option with a value of each command that has one."""


@pytest.mark.parametrize(
    ("code", "message", "cure", "wrong"),
    [
        (
            "AccessDenied",
            "This credential may not choose the model mine.",
            "STEMLINE_REQUEST_MODELS",
            "clock",
        ),
        ("AccessDenied", "This credential may only read.", "`read_only`", "clock"),
        ("AccessDenied", "This credential does not allow cancel.", "`operations`", "clock"),
        ("AccessDenied", "This credential may not use the bucket.", "its entry", "clock"),
        ("AccessDenied", "This credential may not use the queue.", "its entry", "clock"),
        ("BudgetExceeded", "The budget of this credential for today is spent.", "0:00 UTC", "clock"),
        ("AccessDenied", "The signature lacks q-sign-time.", "clock", "its entry"),
        ("SignatureDoesNotMatch", "", "check the key pair", "its entry"),
        ("RequestTimeTooSkewed", "", "clock", "its entry"),
        ("InvalidAccessKeyId", "", "check the key pair", "its entry"),
    ],
)
def test_a_refused_request_gets_the_cure_of_its_cause(code: str, message: str, cure: str, wrong: str) -> None:
    """A valid key pair that may not do something is not said to be wrong; the status is 4 in each case."""
    denied = AccessDenied(code, message, status=403)
    for ended in (failure(denied), refused(denied), failure(denied, then="run it again")):
        assert 4 == ended.exit_code
        assert cure in ended.hint
        assert wrong not in ended.hint
    assert ended.hint.endswith("; then run it again")


def test_a_refused_model_names_its_option() -> None:
    """A name of a model that the service cannot take is corrected at --model."""
    error = ApiError("InvalidArgument", "VoiceSeparate.Model must be the name of a model.", status=400)
    assert "correct --model" in refused(error).hint


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_said_with_its_file(number: int) -> None:
    """The line names the file, and the hint says what to do, also where a transfer met the full disk."""
    full = OSError(number, os.strerror(number), "out/file")
    ended = failure(full)
    assert f"out/file: {os.strerror(number)}" == ended.message
    assert "make room" in ended.hint
    transfer = TransferFailed("a.wav could not be fetched")
    transfer.__cause__ = full
    assert "make room" in failure(transfer).hint


@pytest.mark.parametrize("path", VALUES)
def test_an_option_without_its_value_leads_to_its_command(path: str) -> None:
    """The hint names the help of the command whose option it is, not that of the whole program."""
    words = path.split()[1:]
    ended = CliRunner().invoke(main, [*words, VALUES[path]])
    assert 2 == ended.exit_code
    assert f"Hint: see `main {' '.join(words)} --help`" in ended.stderr


def test_ctrl_c_while_modules_are_imported_is_status_130(monkeypatch: pytest.MonkeyPatch) -> None:
    """The script, which imports nothing else before, ends without a traceback."""

    class Interrupted(ModuleType):
        def __getattr__(self, name: str) -> Any:
            if name == "main":
                raise KeyboardInterrupt
            raise AttributeError(name)

    monkeypatch.setitem(sys.modules, "stemline.cli.main", Interrupted("stemline.cli.main"))
    with pytest.raises(SystemExit) as ended:
        run()
    assert 130 == ended.value.code
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert "stemline.cli.script:run" == project["scripts"]["stemline"]


@pytest.mark.parametrize("words", ["--help", "--version", "settings", "completion bash"])
def test_an_output_that_cannot_be_written_is_said(words: str) -> None:
    """A full disk behind `>` ends the command in one line, with status 1."""
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [STEMLINE, *words.split()], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (1, "Error: the output cannot be written: No space left on device\n") == (
        ended.returncode,
        ended.stderr,
    )


def test_streams_that_are_closed_do_not_matter(tmp_path: Path) -> None:
    """What is written to a stream that the caller closed goes nowhere; the command does what it does."""
    keys = "--api http://a.test --secret-id i --secret-key k --bucket b-1 --region r"
    line = f'"{STEMLINE}" login x --no-check {keys}'
    variables = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path)}
    for streams in (">&-", "2>&-", "<&-", "<&- >&- 2>&-"):
        ended = subprocess.run(
            ["/bin/sh", "-c", f"{line} {streams}"], env=variables, capture_output=True, text=True, check=False
        )
        assert (0, "") == (ended.returncode, ended.stderr)
        (tmp_path / "stemline" / "profiles.ini").unlink()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_cleans_up_as_ctrl_c_does(number: signal.Signals) -> None:
    """What is interrupted by the end of a terminal or a machine gets its chance; ignored signals stay so."""
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), ending_like_ctrl_c():
        signal.raise_signal(number)
    assert before == signal.getsignal(number)


def test_a_hangup_that_is_ignored_stays_ignored() -> None:
    """`nohup stemline …` goes on when its terminal is closed."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ending_like_ctrl_c():
            signal.raise_signal(signal.SIGHUP)
            assert signal.SIG_IGN == signal.getsignal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("name", ["stemline", "/srv/projects/separation/stemline/.venv/bin/stemline"])
def test_the_first_steps_fit_a_terminal(name: str, known: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """At no width is a word broken or added; only what has no space in it is wider than the terminal."""
    monkeypatch.setattr("stemline.cli.first_steps.program", lambda: name)
    monkeypatch.setenv("STEMLINE_PROFILE", "none")
    if known:
        monkeypatch.setenv("STEMLINE_API", "http://127.0.0.1:9")
    whole = click.unstyle(first_steps(1000)).split()
    for width in (40, 60, 80, 120):
        text = click.unstyle(first_steps(width))
        assert whole == [word for word in text.split() if word != "\\"]
        longest = max(map(len, whole)) + 4
        assert [] == [line for line in text.splitlines() if len(line) > max(width, longest)]
        for command in (line for line in text.splitlines() if line.startswith(f"  {name}")):
            assert command.count(name) == 1
