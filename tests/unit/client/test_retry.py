"""When a call of the client is sent again, and after how long."""

from __future__ import annotations

import httpx
import pytest

from stemline.client.call import Call, nothing
from stemline.client.errors import ApiError, ConnectionFailed, SlowDown
from stemline.client.retry import Retry, Tries

REQUEST = httpx.Request("POST", "http://api.test/jobs")


class Clock:
    """A clock that only the test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def tries(*, repeatable: bool = True, budget_s: float = 60.0, clock: Clock | None = None) -> Tries:
    retry = Retry(budget_s=budget_s, first_s=0.2, clock=clock or Clock())
    return retry.start(Call("POST", "/jobs", nothing, repeatable=repeatable))


def api_error(status: int, retry_after_s: float | None = None) -> ApiError:
    kind = SlowDown if status == 503 else ApiError
    return kind("Code", "message", status=status, retry_after_s=retry_after_s)


@pytest.mark.parametrize("repeatable", [True, False])
@pytest.mark.parametrize(
    ("status", "helps"),
    [(400, "no"), (403, "no"), (404, "no"), (409, "no"), (500, "repeatable"), (503, "yes")],
)
def test_which_answers_are_followed_by_another_try(status: int, helps: str, repeatable: bool) -> None:
    """SlowDown stored nothing; after another 5xx only what may be repeated is; the rest stays as it is."""
    made = tries(repeatable=repeatable)
    if helps == "yes" or (helps == "repeatable" and repeatable):
        assert 0 < made.pause(api_error(status)) <= 0.2
    else:
        with pytest.raises(ApiError):
            made.pause(api_error(status))


@pytest.mark.parametrize("repeatable", [True, False])
@pytest.mark.parametrize(
    ("cause", "was_sent"),
    [
        (httpx.ConnectError("refused"), False),
        (httpx.ConnectTimeout("slow"), False),
        (httpx.PoolTimeout("busy"), False),
        (httpx.ReadTimeout("silent"), True),
        (httpx.ReadError("reset"), True),
        (httpx.RemoteProtocolError("cut"), True),
    ],
)
def test_which_faults_of_connections_are_followed_by_another_try(
    cause: httpx.HTTPError, was_sent: bool, repeatable: bool
) -> None:
    """What the service may have received is sent again only if that does no harm."""
    made, error = tries(repeatable=repeatable), ConnectionFailed("gone")
    error.__cause__ = cause
    if repeatable or not was_sent:
        assert made.pause(error) > 0
    else:
        with pytest.raises(ConnectionFailed):
            made.pause(error)


def test_pauses_grow_up_to_a_bound() -> None:
    """Each pause is at most twice as long as the one before, and none is longer than 20 s."""
    made = tries(budget_s=1e6)
    pauses = [made.pause(api_error(503)) for _ in range(12)]
    for number, pause in enumerate(pauses):
        longest = min(20.0, 0.2 * 2**number)
        assert longest / 2 <= pause <= longest


def test_the_service_may_ask_for_a_longer_pause() -> None:
    """Retry-After makes a pause longer, beyond the usual bound too, and never shorter."""
    assert tries().pause(api_error(503, retry_after_s=30.0)) == 30.0
    assert tries(budget_s=1e6).pause(api_error(503, retry_after_s=0.0)) > 0


def test_no_try_begins_after_the_budget() -> None:
    """A pause that would end after it is not made; the error is raised at once."""
    clock = Clock()
    made = tries(budget_s=10.0, clock=clock)
    assert made.pause(api_error(503, retry_after_s=9.0)) == 9.0
    clock.now = 9.0
    with pytest.raises(SlowDown):
        made.pause(api_error(503, retry_after_s=2.0))
    with pytest.raises(SlowDown):
        tries(budget_s=10.0).pause(api_error(503, retry_after_s=11.0))
