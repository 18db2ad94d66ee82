"""How often a job is asked for while somebody waits for it."""

from __future__ import annotations

import time

import httpx
import pytest

from stemline.client import Client, Target
from stemline.client.errors import ConnectionFailed, WaitTimedOut
from stemline.client.exchange import reason_of_transfer
from stemline.client.job import Job
from stemline.client.waiting import Waiting


class Clock:
    """Seconds that the test moves on."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def job() -> Job:
    return Job(id="j1", state="Running", source="in/a.wav", stems=())


def test_a_request_takes_no_longer_than_the_wait() -> None:
    """A service that is gone or hangs is asked for what is left of the time, and some more for the answer."""
    clock = Clock()
    waiting = Waiting(10.0, clock=clock)
    assert waiting.within_s() == 12.0
    clock.now += 9.0
    assert waiting.within_s() == 3.0
    clock.now += 5.0
    assert waiting.within_s() == 2.0
    assert Waiting(clock=clock).within_s() is None


def test_waiting_for_a_service_that_is_gone_ends_in_time() -> None:
    """The client's usual tries, a minute of them, do not outlast the time that was given."""
    began = time.monotonic()
    with Client(Target("http://127.0.0.1:9")) as client, pytest.raises(ConnectionFailed):
        client.wait("j1", timeout_s=0.1)
    assert time.monotonic() - began < 30


def test_without_held_answers_the_pauses_grow(job: Job) -> None:
    """A wait that asks for every change pauses from the start, up to two seconds."""
    clock = Clock()
    waiting = Waiting(clock=clock)
    pauses = []
    for _ in range(20):
        clock.now += 0.05  # the time of a request
        pauses.append(waiting.pause(job))
    assert pauses == sorted(pauses)
    assert 0.1 < pauses[0] < 0.2
    assert pauses[-1] == 2.0


def test_a_held_answer_is_followed_at_once(job: Job) -> None:
    """A service that holds its answer is asked again without a pause; one that does not is not."""
    clock = Clock()
    waiting = Waiting(clock=clock)
    waiting.next_hold_s()
    clock.now += 30
    assert waiting.pause(job) == 0
    waiting.next_hold_s()
    clock.now += 0.01
    assert waiting.pause(job) > 0


def test_the_wait_ends(job: Job) -> None:
    """After the time that was given, the wait ends with its own error."""
    clock = Clock()
    waiting = Waiting(timeout_s=5, clock=clock)
    clock.now += 6
    with pytest.raises(WaitTimedOut):
        waiting.pause(job)


def test_a_failed_transfer_never_shows_its_link() -> None:
    """The reason of a failed transfer holds no URL: it may be signed."""
    request = httpx.Request("GET", "https://store.example/key?X-Amz-Signature=secret")
    answer = httpx.Response(403, request=request)
    with pytest.raises(httpx.HTTPStatusError) as refused:
        answer.raise_for_status()
    assert reason_of_transfer(refused.value) == "the store answered 403"
    assert "secret" not in reason_of_transfer(httpx.ConnectError("no way to https://…secret"))
