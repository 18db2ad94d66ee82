"""The exit status of every command that asks the service, for every kind of answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import httpx
import pytest
from click.testing import CliRunner

from stemline.cli.main import main
from stemline.cli.statuses import BUSY, DENIED, FAILED, INTERRUPTED, NOT_FOUND, UNREACHABLE, USAGE
from tools.docs.references import walk

KEYS = ["--secret-id", "i", "--secret-key", "k", "--bucket", "b-1", "--region", "r"]
CONNECTION = ["--api", "http://127.0.0.1:9", *KEYS]
ID = "j" + "0" * 32
COMMANDS = {
    path.removeprefix("stemline "): command
    for path, command, _ in walk(main, click.Context(main, info_name="stemline"))
    if any(parameter.name == "profile" and "--profile" in parameter.opts for parameter in command.params)
}
MORE: dict[str, list[str]] = {
    "batches create": ["--list", "keys.txt"],
    "submit": ["-o", "out"],
    "templates create": ["--codec", "mp3"],
}
"""What a command needs besides its arguments."""
TAKE_NONE = {"cancel", "retry", "fetch", "callbacks replay", "events"}
"""Commands whose arguments may be left out, which ask the service about the ones that are given."""


def words_of(name: str) -> list[str]:
    """Words that call a command such that it asks the service."""
    given = [
        "song.wav" if each.name == "sources" else ID
        for each in COMMANDS[name].params
        if isinstance(each, click.Argument) and (each.required or name in TAKE_NONE)
    ]
    return [*name.split(), *given, *MORE.get(name, []), *CONNECTION]


def answer(status: int, code: str, message: str = "It says so.") -> Callable[..., httpx.Response]:
    """What the service answers to every request."""

    def send(_client: Any, request: httpx.Request, **_: Any) -> httpx.Response:
        content = json.dumps({"Code": code, "Message": message, "RequestId": "r"}).encode()
        return httpx.Response(status, content=content, request=request)

    return send


def page(status: int) -> Callable[..., httpx.Response]:
    """What another server answers."""
    return lambda _, request, **__: httpx.Response(status, text="<html>", request=request)


def raising(error: BaseException) -> Callable[..., httpx.Response]:
    """What the client raises at every request."""

    def send(*_: Any, **__: Any) -> httpx.Response:
        raise error

    return send


KINDS: dict[str, tuple[Callable[..., httpx.Response], int]] = {
    "no connection": (raising(httpx.ConnectError("x")), UNREACHABLE),
    "no answer": (raising(httpx.ReadTimeout("x")), UNREACHABLE),
    "another server": (
        page(200),
        UNREACHABLE,
    ),
    "a proxy": (page(502), BUSY),
    "an unknown key": (answer(403, "InvalidAccessKeyId"), DENIED),
    "a wrong key": (answer(403, "SignatureDoesNotMatch"), DENIED),
    "a budget that is spent": (answer(403, "BudgetExceeded"), DENIED),
    "not found": (answer(404, "NoSuchResource"), NOT_FOUND),
    "an unknown queue": (answer(400, "QueueNotFound"), NOT_FOUND),
    "later": (answer(503, "SlowDown"), BUSY),
    "a fault": (answer(500, "InternalError"), FAILED),
    "refused": (answer(400, "InvalidArgument"), FAILED),
    "Ctrl-C": (raising(KeyboardInterrupt()), INTERRUPTED),
}
#: A full or limited service is not the end of these.
WAIT = {("submit", "later"), ("submit", "a proxy")}


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with what the commands read; no service is known; the client tries once."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("STEMLINE_HOME", str(tmp_path / "none"))
    Path("song.wav").write_bytes(b"x")
    Path("keys.txt").write_text("a.wav\n")
    monkeypatch.setattr("stemline.client.retry.Tries._may_help", lambda *_: False)
    monkeypatch.setattr("time.sleep", lambda _: None)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_status_says_what_the_service_answers(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every kind of answer, or none, ends a command with its documented status, in one line with a hint."""
    wrong = []
    for kind, (send, status) in KINDS.items():
        if (name, kind) in WAIT:
            continue
        monkeypatch.setattr(httpx.Client, "send", send)
        ended = CliRunner().invoke(main, words_of(name))
        if status != ended.exit_code or "Traceback" in ended.output:
            wrong.append((kind, status, ended.exit_code, ended.output))
    assert [] == wrong


@pytest.mark.parametrize("name", COMMANDS)
def test_a_status_says_what_is_wrong_with_the_words(name: str) -> None:
    """A wrong option or URL is status 2; an unknown profile, and no service at all, are status 3."""
    called = [word for word in words_of(name) if word not in CONNECTION]
    runner = CliRunner()
    assert USAGE == runner.invoke(main, [*called, "--no-such-option"]).exit_code
    assert UNREACHABLE == runner.invoke(main, [*called, "--profile", "none"]).exit_code
    ended = runner.invoke(main, called)
    assert UNREACHABLE == ended.exit_code
    assert "stemline login" in ended.stderr
    ended = runner.invoke(main, [*called, "--api", "no url"])
    assert USAGE == ended.exit_code


@pytest.mark.parametrize(
    ("option", "value"),
    [("--api", "ftp://a.test"), ("--bucket", "Bad Name"), ("--region", "no region"), ("--secret-id", "é")],
)
def test_a_value_that_names_no_service_is_a_wrong_word(option: str, value: str) -> None:
    """What no service can be reached by is corrected at the command line: nothing need be started."""
    assert USAGE == CliRunner().invoke(main, ["jobs", *CONNECTION, option, value]).exit_code


def test_login_refuses_what_a_profile_cannot_hold() -> None:
    """The name of a profile, and the bucket that it names, are words of the command line."""
    known = ["--api", "http://a.test", "--secret-id", "i", "--secret-key", "k", "--region", "r", "--no-check"]
    for words in (["[x]", "--bucket", "b-1"], ["x", "--bucket", "Bad Name"]):
        assert USAGE == CliRunner().invoke(main, ["login", *words, *known]).exit_code
