"""What a request that expires is made of, and how each answer of a store to it is read."""

from __future__ import annotations

import socket
import time
from email.utils import formatdate
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.exceptions import ClientError

from stemline.jobs.errors import LeaseLost
from stemline.storage import expiring_request
from stemline.storage.clients import BucketClient
from stemline.storage.expiring_request import MAX_SKEW_S, send_expiring
from tests.unit.storage.test_expiring_request import (
    DONE,
    OPERATIONS,
    Session,
    bucket,
    complete,
    expiry,
    session,
)

__all__ = ["bucket", "session"]  # fixtures

NOW_S = 1_790_000_000.25
RESULT = b"<Error><Code>%s</Code><Message>some text</Message></Error>"


def refusal(bucket: BucketClient, session: Session, status: int, content: bytes) -> Any:
    """The error of an answer."""
    session.status, session.content = status, content
    with pytest.raises(ClientError) as caught:
        complete(bucket, time.time() + 60)
    return caught.value


class StoppedClock:
    """A clock that stands still; it ends what reads it again and again."""

    def __init__(self, now_s: float = NOW_S) -> None:
        self.now_s = now_s
        self.reads = 0

    def time(self) -> float:
        self.reads += 1
        assert self.reads < 20, "reads the clock without end"
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, bucket: BucketClient) -> StoppedClock:
    """The clock of the worker, and of botocore, which signs with it."""
    clock = StoppedClock()
    monkeypatch.setattr(expiring_request, "time", SimpleNamespace(time=clock.time))

    def sign(operation: str, **options: Any) -> str:
        date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(clock.now_s))
        return f"http://store/?X-Amz-Date={date}&X-Amz-Expires={options['ExpiresIn']}"

    monkeypatch.setattr(bucket.s3, "generate_presigned_url", sign)
    return clock


def test_a_completed_upload_is_sent_as_asked(bucket: BucketClient, session: Session) -> None:
    """Method, object, upload, body and headers are the caller's; nothing is added to the signed request."""
    headers = {"Content-Type": "application/xml", "If-None-Match": "*"}
    send_expiring(
        bucket,
        "complete_multipart_upload",
        {"Key": "folder/a b.wav", "UploadId": "some id"},
        expires_at=time.time() + 60,
        headers=headers,
        body=b"<CompleteMultipartUpload/>",
    )
    (request,) = session.sent
    assert "POST" == request.method
    assert b"<CompleteMultipartUpload/>" == request.body
    assert headers.items() <= dict(request.headers).items()
    parts = urlsplit(request.url)
    assert parts.path.endswith("/folder/a%20b.wav")
    assert "media-1250000000" in parts.netloc + parts.path
    assert ["some id"] == parse_qs(parts.query)["uploadId"]


def test_a_deletion_has_neither_body_nor_headers(bucket: BucketClient, session: Session) -> None:
    """DELETE of the object; a 204 without content is its success."""
    session.status, session.content = 204, b""
    complete(bucket, time.time() + 60, "delete_object")
    (request,) = session.sent
    assert ("DELETE", b"") == (request.method, request.body or b"")
    assert {"content-length"} >= {name.lower() for name in dict(request.headers)}
    assert "uploadId" not in request.url


@pytest.mark.parametrize("left_s", [1, 2, 60])
def test_a_whole_number_of_seconds_is_used_up(
    session: Session, bucket: BucketClient, clock: StoppedClock, left_s: int
) -> None:
    """A lease that ends on a second: the request is valid until then, and signed once."""
    clock.now_s = 1_790_000_000.0
    complete(bucket, clock.now_s + left_s)
    assert [clock.now_s + left_s] == [expiry(url) for url in session.urls]


@pytest.mark.parametrize(("left_s", "until_s"), [(0.8, 1), (1.5, 1), (2.0, 2)])
def test_fractions_of_a_second_are_dropped(
    session: Session, bucket: BucketClient, clock: StoppedClock, left_s: float, until_s: int
) -> None:
    """Signatures count whole seconds from a whole second: the last one before the end is used."""
    complete(bucket, clock.now_s + left_s)
    assert [1_790_000_000 + until_s] == [expiry(url) for url in session.urls]


def test_a_lease_that_ends_within_this_second_is_lost(
    session: Session, bucket: BucketClient, clock: StoppedClock
) -> None:
    """No whole second is left that a signature could last."""
    with pytest.raises(LeaseLost):
        complete(bucket, clock.now_s + 0.5)
    assert [] == session.urls


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="this system has one time zone")
def test_the_time_of_a_signature_is_utc(
    session: Session, bucket: BucketClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker whose local time differs reads the expiry of its URL as the store does."""
    monkeypatch.setenv("TZ", "STEM+11")
    time.tzset()
    try:
        end = time.time() + 60
        complete(bucket, end)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert [True] == [end - 2 < expiry(request.url) <= end for request in session.sent]


@pytest.mark.parametrize(
    ("status", "content", "code", "message", "reported"),
    [
        (403, RESULT % b"AccessDenied", "AccessDenied", "some text", 403),
        (404, RESULT % b"NoSuchUpload", "NoSuchUpload", "some text", 404),
        (503, RESULT % b"SlowDown", "SlowDown", "some text", 503),
        (200, RESULT % b"NoSuchUpload", "NoSuchUpload", "some text", 404),
        (200, RESULT % b"InternalError", "InternalError", "some text", 500),
        (299, RESULT % b"InternalError", "InternalError", "some text", 500),
        (200, b"", "IncompleteBody", "", 500),
        (200, b" \n ", "IncompleteBody", "", 500),
        (200, b"<Other/>", "IncompleteBody", "", 500),
        (200, b"no XML", "IncompleteBody", "", 500),
        (500, b"", "IncompleteBody", "", 500),
        (300, DONE, "300", "", 300),
        (503, b"<html>busy</html>", "503", "", 503),
        (503, b'<Error xmlns="urn:any"><Code>SlowDown</Code></Error>', "SlowDown", "", 503),
        (503, b"<Error><Code>SlowDown</Code><Message>cut", "SlowDown", "cut", 503),
    ],
)  # fmt: skip
def test_an_error_has_what_the_store_said(
    bucket: BucketClient,
    session: Session,
    status: int,
    content: bytes,
    code: str,
    message: str,
    reported: int,
) -> None:
    """Code, message, status and operation of the answer; one in a 200 has the status it means."""
    error = refusal(bucket, session, status, content)
    assert {"Code": code, "Message": message} == error.response["Error"]
    assert {"HTTPStatusCode": reported} == error.response["ResponseMetadata"]
    assert "complete_multipart_upload" == error.operation_name


def test_a_deletion_with_an_error_in_its_answer_failed(bucket: BucketClient, session: Session) -> None:
    """Only an empty answer tells that an object was deleted."""
    session.content = RESULT % b"InternalError"
    with pytest.raises(ClientError) as caught:
        complete(bucket, time.time() + 60, "delete_object")
    assert "InternalError" == caught.value.response["Error"]["Code"]
    assert "delete_object" == caught.value.operation_name


@pytest.mark.parametrize(
    "content",
    [DONE, b'<CompleteMultipartUploadResult xmlns="urn:any"><ETag>x</ETag></CompleteMultipartUploadResult>'],
)
@pytest.mark.parametrize("status", [200, 299])
def test_a_result_is_a_success_in_any_namespace(
    bucket: BucketClient, session: Session, status: int, content: bytes
) -> None:
    """Stores give its root element different namespaces."""
    session.status, session.content = status, content
    complete(bucket, time.time() + 60)
    assert 1 == len(session.sent)


@pytest.mark.parametrize(
    "entity", ['"InternalError"', 'SYSTEM "{file}"', 'SYSTEM "{url}"', 'PUBLIC "any" "{url}"']
)
@pytest.mark.parametrize(
    "doctype",
    [
        "<!DOCTYPE Error [<!ENTITY e {entity}>]>",
        '<!DOCTYPE Error SYSTEM "{url}" [<!ENTITY e {entity}>]>',
        "<!DOCTYPE Error [<!ENTITY % p {entity}> %p; <!ENTITY e {entity}>]>",
    ],
)
def test_an_answer_reads_no_file_and_no_address(
    bucket: BucketClient, session: Session, tmp_path: Path, doctype: str, entity: str
) -> None:
    """Entities of an answer are never replaced: a hostile store learns no file, and nothing is fetched."""
    secret = tmp_path / "secret"
    secret.write_text("a secret of this machine")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        places = {"file": secret.as_uri(), "url": f"http://127.0.0.1:{server.getsockname()[1]}/e"}
        text = doctype.replace("{entity}", entity)
        for name, place in places.items():
            text = text.replace(f"{{{name}}}", place)
        content = f"<?xml version='1.0'?>{text}<Error><Code>&e;</Code><Message>&e;</Message></Error>"
        error = refusal(bucket, session, 403, content.encode())
        with pytest.raises(BlockingIOError):
            server.accept()
    assert {"Code": "403", "Message": ""} == error.response["Error"]


@pytest.mark.parametrize("status", [400, 402, 404, 500])
def test_only_a_denial_may_mean_the_end_of_the_lease(
    bucket: BucketClient,
    session: Session,
    clock: StoppedClock,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
) -> None:
    """Any other refusal stays what it is, even after the lease and with a wrong clock."""
    session.status, session.content = status, RESULT % b"Refused"
    session.headers = {"Date": formatdate(clock.now_s - 3600, usegmt=True)}
    end = clock.now_s + 5

    def send(request: Any) -> Any:
        clock.now_s = end + 10
        return SimpleNamespace(status_code=session.status, content=session.content, headers=session.headers)

    monkeypatch.setattr(session, "send", send)
    with pytest.raises(ClientError, match="Refused"):
        complete(bucket, end)


@pytest.mark.parametrize(("after_s", "is_over"), [(-0.3, False), (0.0, True), (0.3, True)])
def test_a_denial_means_the_end_from_the_second_on_in_which_it_is(
    bucket: BucketClient,
    session: Session,
    clock: StoppedClock,
    monkeypatch: pytest.MonkeyPatch,
    after_s: float,
    is_over: bool,
) -> None:
    """The signature is valid to the whole second before the end, and the store denies from then on."""
    last_s = 1_790_000_005.0

    def send(_: Any) -> Any:
        clock.now_s = last_s + after_s
        return SimpleNamespace(status_code=403, content=RESULT % b"AccessDenied", headers={})

    monkeypatch.setattr(session, "send", send)
    with pytest.raises(LeaseLost if is_over else ClientError) as caught:
        complete(bucket, last_s + 0.7)
    cause = caught.value.__cause__
    assert isinstance(cause, ClientError) is is_over


@pytest.mark.parametrize(
    ("skew_s", "is_wrong"), [(MAX_SKEW_S, False), (-MAX_SKEW_S, False), (6.0, True), (-6.0, True)]
)
def test_a_denial_with_a_wrong_clock_is_one_of_the_worker(
    bucket: BucketClient, session: Session, clock: StoppedClock, skew_s: float, is_wrong: bool
) -> None:
    """Five seconds either way are no wrong clock; beyond that the error says so, with its cause."""
    clock.now_s = 1_790_000_000.0
    session.status, session.content = 403, RESULT % b"AccessDenied"
    session.headers = {"Date": formatdate(clock.now_s + skew_s, usegmt=True)}
    with pytest.raises(ClientError) as caught:
        complete(bucket, clock.now_s + 60)
    error = caught.value
    assert ("RequestTimeTooSkewed" if is_wrong else "AccessDenied") == error.response["Error"]["Code"]
    assert ("" if is_wrong else "some text") == error.response["Error"]["Message"]
    assert 403 == error.response["ResponseMetadata"]["HTTPStatusCode"]
    assert OPERATIONS[0] == error.operation_name
    assert isinstance(error.__cause__, ClientError) is is_wrong
