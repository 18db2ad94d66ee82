"""Requests that end with the lease: the clock of the worker, and the signature that the store checks."""

from __future__ import annotations

import calendar
import math
import time
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.exceptions import ClientError

from stemline.jobs.errors import LeaseLost
from stemline.runtime.credentials import CredentialFiles
from stemline.runtime.settings import BucketAccess, Settings
from stemline.storage import expiring_request
from stemline.storage.clients import BucketClient, Clients
from stemline.storage.expiring_request import send_expiring
from stemline.storage.faults import Fault, fault_of

OPERATIONS = ("complete_multipart_upload", "delete_object")
DONE = b"<CompleteMultipartUploadResult/>"


class Session:
    """The connections of a client; a test says what the store answers."""

    def __init__(self, status: int = 200, content: bytes = DONE) -> None:
        self.status, self.content = status, content
        self.headers: dict[str, str] = {}
        self.urls: list[str] = []
        self.sent: list[Any] = []

    def send(self, request: Any) -> Any:
        self.urls.append(request.url)
        self.sent.append(request)
        return SimpleNamespace(status_code=self.status, content=self.content, headers=self.headers)


@pytest.fixture(scope="module")
def bucket() -> BucketClient:
    access = BucketAccess(endpoint_url="http://127.0.0.1:1", access_key="a", secret_key="s")
    files = CredentialFiles.of(Settings(buckets={"*": access}))
    return Clients(files.buckets, ["ap-chongqing"]).for_bucket("ap-chongqing", "media-1250000000")


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch, bucket: BucketClient) -> Session:
    session = Session()
    sessions = {bucket.s3: session}
    monkeypatch.setattr(expiring_request, "http_session", lambda client: sessions[client])
    return session


def complete(bucket: BucketClient, expires_at: float, operation: str = OPERATIONS[0]) -> None:
    names = {"Key": "k", "UploadId": "u"} if operation == OPERATIONS[0] else {"Key": "k"}
    send_expiring(bucket, operation, names, expires_at=expires_at)


def expiry(url: str) -> float:
    """When the store refuses a presigned URL, read by a rule of its own."""
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    signed = time.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ")
    return calendar.timegm(signed) + int(query["X-Amz-Expires"])


@pytest.mark.parametrize("left", [-3600.0, -1.0, 0.0])
def test_without_time_left_nothing_is_sent(bucket: BucketClient, session: Session, left: float) -> None:
    """By the worker's own clock the lease is over: no request leaves it."""
    with pytest.raises(LeaseLost):
        complete(bucket, time.time() + left)
    assert [] == session.urls


@pytest.mark.parametrize("left", [60.0, 60.5, 60.999, 79.9, 3600.0])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_signature_ends_with_the_lease(
    bucket: BucketClient, session: Session, operation: str, left: float
) -> None:
    """The store refuses the request from the end of the lease on, and not seconds before."""
    session.content = DONE if operation == OPERATIONS[0] else b""
    end = time.time() + left
    complete(bucket, end, operation)
    (url,) = session.urls
    assert end - 2 < expiry(url) <= end


def test_a_process_that_was_stopped_before_it_signed_gains_nothing(
    bucket: BucketClient, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock was read, then the process stood still for longer than its lease has left, then it signed."""
    real, read = time.time, []

    def stale() -> float:
        read.append(1)
        return real() - 120 if len(read) == 1 else real()

    end = real() + 60
    monkeypatch.setattr(expiring_request, "time", SimpleNamespace(time=stale))
    complete(bucket, end)
    (url,) = session.urls
    assert expiry(url) <= end


def test_a_refusal_after_the_lease_is_a_lost_lease(bucket: BucketClient, session: Session) -> None:
    """403 means the lost lease only once the lease is over; before, the store refused for another reason."""
    session.status, session.content = 403, b"<Error><Code>AccessDenied</Code></Error>"
    with pytest.raises(ClientError, match="AccessDenied"):
        complete(bucket, time.time() + 30)
    end = time.time() + 1.9

    def send(request: Any) -> Any:
        while time.time() < math.floor(end):
            time.sleep(0.05)
        return SimpleNamespace(status_code=403, content=session.content, headers={})

    session.send = send  # type: ignore[method-assign]
    with pytest.raises(LeaseLost):
        complete(bucket, end)


@pytest.mark.parametrize("wrong_s", [3600, -3600])
def test_a_refusal_with_a_wrong_clock_is_the_workers_fault(
    bucket: BucketClient, session: Session, wrong_s: float
) -> None:
    """A store denies what has expired by its own clock; the date of its answer shows whose clock is wrong."""
    session.status, session.content = 403, b"<Error><Code>AccessDenied</Code></Error>"
    session.headers = {"Date": formatdate(time.time() + wrong_s, usegmt=True)}
    with pytest.raises(ClientError, match="RequestTimeTooSkewed") as refused:
        complete(bucket, time.time() + 30)
    assert fault_of(refused.value) is Fault.WORKER


@pytest.mark.parametrize("date", ["", "yesterday", "now"])
def test_a_date_that_cannot_be_read_changes_nothing(
    bucket: BucketClient, session: Session, date: str
) -> None:
    """Without a date, or with one that is right but names no zone, a denial stays one."""
    if date == "now":
        date = formatdate(time.time()).removesuffix(" -0000")
    session.status, session.content = 403, b"<Error><Code>AccessDenied</Code></Error>"
    session.headers = {"Date": date} if date else {}
    with pytest.raises(ClientError, match="AccessDenied"):
        complete(bucket, time.time() + 30)


@pytest.mark.parametrize(
    ("status", "content", "code"),
    [
        (200, b"", "IncompleteBody"),
        (200, b"<Error><Code>InternalError</Code></Error>", "InternalError"),
        (200, b"<Error><Code>NoSuchUpload</Code></Error>", "NoSuchUpload"),
        (404, b"<Error><Code>NoSuchUpload</Code></Error>", "NoSuchUpload"),
        (503, b"", "503"),
    ],
)
def test_only_a_result_is_a_success(
    bucket: BucketClient, session: Session, status: int, content: bytes, code: str
) -> None:
    """A 200 without a result, or with an error in it, is an error with its code."""
    session.status, session.content = status, content
    with pytest.raises(ClientError) as caught:
        complete(bucket, time.time() + 30)
    assert code == caught.value.response["Error"]["Code"]
