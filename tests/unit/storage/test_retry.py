"""Retries within a budget."""

from __future__ import annotations

import threading
import time

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError

from stemline.storage import retry as retry_module
from stemline.storage.retry import BudgetExhausted, RetryBudget, TransferCancelled
from stemline.testing.processes import eventually
from tests.support.logs import captured_logs


def refused(status: int, code: str = "") -> ClientError:
    """A response with an error status."""
    response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "GetObject")


class Request:
    """A request that raises each of the errors and then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = [*errors]
        self.tries = 0

    def __call__(self) -> str:
        self.tries += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


@pytest.mark.parametrize(
    "error",
    [refused(500), refused(429), refused(503, "SlowDown"), refused(400, "RequestTimeout"), TimeoutError()],
)
def test_transient_errors_are_retried(error):
    """A request that fails twice with a transient error is sent a third time and its result returned."""
    request = Request(error, error)
    assert ("done", 3) == (RetryBudget(30).run(request, bucket="b"), request.tries)


def test_a_retry_is_logged_with_its_bucket():
    """Of several buckets, on stores of their own, the log says which one does not answer."""
    with captured_logs() as lines:
        RetryBudget(30).run(Request(refused(500)), bucket="b", key="k")
    assert [("storage.retry_scheduled", "b", "k")] == [(x["event"], x["bucket"], x["key"]) for x in lines]


@pytest.mark.parametrize("error", [refused(403, "AccessDenied"), refused(404, "NoSuchKey"), ValueError()])
def test_other_errors_are_raised_at_once(error):
    """A refusal or a programming error is raised after a single try."""
    request = Request(error)
    with pytest.raises(type(error)) as caught:
        RetryBudget(30).run(request, bucket="b")
    assert (error, 1) == (caught.value, request.tries)


def test_the_budget_ends_the_retries():
    """When transient errors outlast the budget, why the last one came is the reason and the cause."""
    endless = Request(*[ConnectTimeoutError(endpoint_url="http://s3") for _ in range(1000)])
    with pytest.raises(BudgetExhausted) as caught:
        RetryBudget(0.7).run(endless, bucket="b")
    assert "the connection was not taken in time" == caught.value.reason
    assert isinstance(caught.value.__cause__, ConnectTimeoutError)
    assert 1 < endless.tries < 1000


def test_a_budget_of_zero_is_a_single_try():
    """Without a budget a transient error is final."""
    request = Request(refused(500))
    with pytest.raises(BudgetExhausted):
        RetryBudget(0).run(request, bucket="b")
    assert 1 == request.tries


def test_a_wait_can_be_cancelled():
    """A cancel ends a wait early, and no further try is made."""
    began = time.monotonic()
    budget = RetryBudget(600, lambda: time.monotonic() > began + 0.2)
    with pytest.raises(TransferCancelled):
        budget.wait(300)
    assert time.monotonic() - began < 180
    request = Request()
    with pytest.raises(TransferCancelled):
        budget.run(request, bucket="b")
    assert 0 == request.tries


@pytest.mark.parametrize("fails", [False, True])
def test_what_a_cancelled_request_still_opens_is_undone(monkeypatch: pytest.MonkeyPatch, fails: bool) -> None:
    """The cancel waits for no answer; what comes later is undone, and nothing is where nothing was opened."""
    monkeypatch.setattr(retry_module, "CANCEL_CHECK_S", 0.005)
    answers, ended, undone = threading.Event(), threading.Event(), list[str]()

    def open_upload() -> str:
        answers.wait(60)
        ended.set()
        if fails:
            raise refused(403, "AccessDenied")
        return "upload-1"

    checks = iter([False, True])
    budget = RetryBudget(30, cancelled=lambda: next(checks, True))
    with pytest.raises(TransferCancelled):
        budget.run(open_upload, bucket="b", undo=undone.append)
    assert [] == undone
    answers.set()
    assert ended.wait(60)
    eventually(lambda: not [each for each in threading.enumerate() if each.name == "transfer"], 60)
    assert undone == ([] if fails else ["upload-1"])


def test_what_was_opened_in_time_is_not_undone() -> None:
    """A transfer that is not cancelled keeps what it opened."""
    undone = list[str]()
    assert "done" == RetryBudget(30, cancelled=lambda: False).run(Request(), bucket="b", undo=undone.append)
    assert [] == undone
