"""What a request of the client says."""

from __future__ import annotations

import string
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import unquote

import httpx
import pytest

from stemline.client.batches import create_batch
from stemline.client.call import LONGEST_WAIT_S, in_tens, joined, one, prefer_wait, wire_time
from stemline.client.errors import ConnectionFailed, NotFound
from stemline.client.exchange import Exchange
from stemline.client.jobs import page, submit
from stemline.client.queues import queues
from stemline.client.submission import Submission
from stemline.client.target import Target


@pytest.mark.parametrize(
    ("count", "sizes"), [(0, []), (1, [1]), (10, [10]), (11, [10, 1]), (25, [10, 10, 5])]
)
def test_ids_are_sent_in_tens(count: int, sizes: list[int]) -> None:
    """A request names at most ten ids, in their order."""
    ids = [f"j{number}" for number in range(count)]
    groups = list(in_tens(ids))
    assert sizes == [len(group) for group in groups]
    assert ids == [each for group in groups for each in group]


def test_an_id_is_sent_once() -> None:
    """An id that is named twice takes one place of the ten."""
    ids = [*(f"j{number}" for number in range(10)), "j0", "j5"]
    assert [ids[:10]] == list(in_tens(ids))


@pytest.mark.parametrize(
    ("wait_s", "asked"),
    [(0, None), (0.9, None), (1, "wait=1"), (7.6, "wait=8"), (1000, f"wait={LONGEST_WAIT_S}")],
)
def test_the_service_is_asked_to_hold_its_answer(wait_s: float, asked: str | None) -> None:
    """For as many whole seconds as are left, and never longer than a connection is kept."""
    assert prefer_wait(wait_s) == ({} if asked is None else {"Prefer": asked})


def test_a_path_holds_any_id() -> None:
    """What has a meaning in a path is encoded."""
    assert joined(["a/b", "c,d", "é"]) == "a%252Fb,c%252Cd,%C3%A9"


def test_times_keep_their_moment_in_any_zone() -> None:
    """The wire has times of one zone; a time of another one is the same moment."""
    moment = datetime(2026, 3, 1, 10, tzinfo=UTC)
    assert wire_time(moment) == wire_time(moment.astimezone(timezone(timedelta(hours=-11)))) != ""
    assert wire_time(None) == ""


@pytest.mark.parametrize(
    "call",
    [
        lambda: submit(Submission("in/\udc80x"), "b-1", "r"),
        lambda: submit(Submission("x", user_data="\ud800"), "b-1", "r"),
        lambda: submit(Submission("x", output={"voice": "\udc80", "background": "b"}), "b-1", "r"),
        lambda: submit(Submission("x"), "b-1", "r", key="a\nb"),
        lambda: submit(Submission("x"), "b-1", "r", key="é"),
        lambda: page(source="\udc80"),
        lambda: create_batch(["a", "\udc80"], Submission(""), "b-1", "r"),
        lambda: create_batch(["a"], Submission(""), "b-1", "r", name="\udc80"),
    ],
)
def test_what_no_request_can_hold_is_refused(call) -> None:
    """Texts that are not UTF-8 never become other texts, and headers hold printable ASCII."""
    with pytest.raises(ValueError, match=r"is not UTF-8|printable ASCII") as refused:
        Exchange(Target("http://127.0.0.1:1", "id", "key", "b-1", "r")).request(call())
    assert not isinstance(refused.value, UnicodeError)
    assert str(refused.value).isascii()


def test_a_time_is_no_text() -> None:
    """What is not a time is named."""
    with pytest.raises(TypeError, match="'tomorrow' is no time"):
        Submission("x", not_before="tomorrow").body("b-1", "r")  # type: ignore[arg-type]


def test_what_was_not_found_is_named() -> None:
    """An error says what is missing."""
    assert one({"a": 1}, "a", "job") == 1
    with pytest.raises(NotFound, match="no job b in this bucket"):
        one({"a": 1}, "b", "job")


@pytest.mark.parametrize("name", [*string.printable, ".", "..", "a/b", "../x", "j0,j1", "%2F", "a?b#c"])
def test_no_id_leaves_its_place_in_the_path(name: str) -> None:
    """Whatever a person gives as an id is one segment of the path, and one id of it."""
    path = httpx.URL(f"http://x/jobs/{joined([name])}/retry").raw_path.decode()
    start, jobs, sent, end = unquote(path).split("/")
    assert ("", "jobs", "retry") == (start, jobs, end)
    assert "," not in sent
    assert name in {sent, unquote(sent)}


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("body", [b"<html>", b"[1]", b"9" * 10_000, b'{"a":' * 100_000, b"\xff"])
def test_what_is_no_answer_is_said(status: int, body: bytes) -> None:
    """Whatever a server answers in the place of the service is an error of the client, not of Python."""
    exchange = Exchange(Target("http://127.0.0.1:1", "id", "key", "b-1", "r"))
    with pytest.raises(ConnectionFailed, match=r"is not a Stemline API|answered 400"):
        exchange.read(queues(), httpx.Response(status, content=body))
