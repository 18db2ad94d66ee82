"""How often a job is asked for while somebody waits for it."""

from __future__ import annotations

import httpx
import pytest

from stemline.client.errors import WaitTimedOut
from stemline.client.exchange import reason_of
from stemline.client.values import Job
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
    assert reason_of(refused.value) == "the store answered 403"
    assert "secret" not in reason_of(httpx.ConnectError("no way to https://…secret"))
