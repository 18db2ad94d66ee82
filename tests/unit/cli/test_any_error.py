"""Whatever a command raises ends it in one line for people, with a status of the documented ones."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import httpx
import pytest
from click.testing import CliRunner, Result

from stemline.cli.main import main
from stemline.cli.statuses import STATUSES
from tests.support.raised import MODULES, OF_TEXTS, classes_in, errors
from tools.docs.references import walk

SERVICES = {"api", "beat", "flower", "worker"}
COMMANDS = {
    path.removeprefix("stemline "): command
    for path, command, _ in walk(main, click.Context(main, info_name="stemline"))
    if not isinstance(command, click.Group) and path.split()[1] not in SERVICES
}
ALL = [*OF_TEXTS, *(error for module in MODULES for error in errors(module))]
SHARES = {name: ALL[place :: len(COMMANDS)] for place, name in enumerate(COMMANDS)}
"""Each command has every n-th, so that all errors are raised somewhere."""
TYPICAL = [
    OSError(28, "No space left on device", "out/a.wav"),
    socket.gaierror(-2, "Name or service not known"),
    httpx.ReadTimeout("ReadTimeout"),
    KeyError("Jobs"),
    TypeError("'NoneType' object is not subscriptable"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
]
WORDS = {"AccessDenied"}  # a code of S3


@pytest.fixture(autouse=True)
def _folder_of_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Reports about unexpected errors are written to a folder of the test; logs go where they did before."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    handlers = logging.getLogger().handlers[:]
    yield
    logging.getLogger().handlers[:] = handlers


def raising(command: click.Command, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a command raise an error, whatever its words are."""

    def run(**_: Any) -> None:
        raise error

    monkeypatch.setattr(command, "params", [])
    monkeypatch.setattr(command, "callback", run)


def check_end(ended: Result) -> None:
    """Check that a command ended as docs/cli.md promises."""
    assert ended.exit_code in STATUSES
    assert ended.exit_code not in {0, 2}
    assert "Traceback" not in ended.output
    assert not classes_in(ended.stderr) - WORDS
    first, *rest = ended.stderr.splitlines()
    assert first.startswith("Error: ")
    assert len(rest) <= 1
    assert all(line.startswith("Hint: ") for line in rest)


@pytest.mark.parametrize("name", COMMANDS)
def test_any_error_ends_a_command_in_one_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No error of a library, of the system or of the code itself becomes a trace or the name of a class."""
    for error in (*TYPICAL, *SHARES[name]):
        if isinstance(error, BrokenPipeError):
            continue  # nobody reads what would be said
        raising(COMMANDS[name], error, monkeypatch)
        check_end(CliRunner().invoke(main, name.split()))


def test_an_unexpected_error_can_be_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hint names a file, which its owner alone can read, with the trace of the error."""
    raising(COMMANDS["jobs"], KeyError("Jobs"), monkeypatch)
    ended = CliRunner().invoke(main, ["jobs"])
    assert 1 == ended.exit_code
    (report,) = tmp_path.iterdir()
    assert str(report) in ended.stderr
    assert "KeyError: 'Jobs'" in report.read_text()
    assert 0o600 == report.stat().st_mode & 0o777


def test_an_unexpected_error_without_a_folder_for_its_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk does not hide what happened."""
    monkeypatch.setattr("tempfile.tempdir", "/dev/null")
    raising(COMMANDS["jobs"], KeyError("Jobs"), monkeypatch)
    check_end(CliRunner().invoke(main, ["jobs"]))


@pytest.mark.parametrize(
    "error",
    [each for each in errors(httpx) if isinstance(each, httpx.RequestError)],
    ids=lambda error: type(error).__name__,
)
def test_an_error_of_a_connection_is_a_service_that_does_not_answer(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the HTTP client raises while it sends is reported with status 3."""
    monkeypatch.setattr(httpx.Client, "send", lambda *_, **__: (_ for _ in ()).throw(error))
    monkeypatch.setattr("stemline.client.retry.Tries._may_help", lambda *_: False)
    keys = "--api http://a.test --secret-id i --secret-key k --bucket b-1 --region r"
    ended = CliRunner().invoke(main, ["queues", *keys.split()])
    assert 3 == ended.exit_code
    check_end(ended)
