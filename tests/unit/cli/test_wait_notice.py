"""What is said while a service does not answer."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from stemline.cli.wait_notice import NoticingClient, WaitNotice
from stemline.client import Target
from stemline.client.call import Call, nothing
from stemline.client.sender import Sender


def test_a_wait_is_said_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It is said while it lasts, and not again."""
    monkeypatch.setattr(WaitNotice, "silent_s", 0.0)
    with WaitNotice("the store") as watch:
        watch._thread.join(5)  # it ends as soon as it has said it
        assert "Waiting for the store ...\n" == capsys.readouterr().err
        assert watch.has_said


def test_what_goes_on_is_no_wait(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A block that ends in time, and one in which something happens, say nothing."""
    monkeypatch.setattr(WaitNotice, "silent_s", 60.0)
    with WaitNotice("the store") as watch:
        watch.moved()
    assert not watch.has_said
    assert "" == capsys.readouterr().err


@pytest.mark.parametrize(("headers", "said"), [({}, 1), ({"Prefer": "wait=25"}, 0)])
def test_a_client_says_once_that_a_service_is_silent(
    headers: dict[str, str], said: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second silent call says nothing more; nor does one whose answer the service was asked to hold."""
    monkeypatch.setattr(WaitNotice, "silent_s", 0.0)
    was_said = threading.Event()
    monkeypatch.setattr("stemline.cli.wait_notice.click.echo", lambda *_, **__: was_said.set())

    def silent(*_: Any, **__: Any) -> None:
        if said:
            assert was_said.wait(5)

    monkeypatch.setattr(Sender, "send", silent)
    with NoticingClient(Target("http://127.0.0.1:1", "id", "key", "b-1", "r")) as client:
        client.send(Call("GET", "/queue", nothing, headers=headers))
        assert was_said.is_set() == bool(said)
        client.send(Call("GET", "/queue", nothing, headers=headers))
