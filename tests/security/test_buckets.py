"""A hostile store: answers without end, slow ones and redirects cost a worker neither memory nor hours."""

from __future__ import annotations

import resource
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import signature
from pathlib import Path

import pytest

from stemline.jobs.errors import SourceTooLarge, SourceUnavailable, StemlineError, TargetDenied, TryAgain
from stemline.jobs.tenant import Tenant
from stemline.runtime.compat import botocore as compat
from stemline.runtime.redaction import Redaction
from stemline.runtime.settings import BucketAccess, Settings
from stemline.storage import Buckets, Upload, clients, download, incoming
from stemline.storage.incoming import IncomingUpload
from stemline.storage.retry import TransferCancelled
from stemline.workers.cleanup import cleanup
from tests.support.accepting import accepting
from tests.support.logs import captured_logs

pytestmark = pytest.mark.slow

TENANT = Tenant("media-1250000000", "ap-chongqing")
#: What a process may take more, KiB.
MAX_MEMORY_KIB = 64 << 10
Script = Callable[..., None]


@contextmanager
def hostile_store(script: Script, budget_s: float = 0.5) -> Iterator[Buckets]:
    """Buckets at a store that answers each request with a script."""
    with hostile_server(script) as access:
        buckets = Buckets(Settings(buckets={TENANT.bucket: access}, storage_patience_s=budget_s))
        buckets._clients.for_bucket(TENANT.region, TENANT.bucket)  # the first client takes memory of its own
        yield buckets


@contextmanager
def hostile_server(script: Script) -> Iterator[BucketAccess]:
    """How to reach a store that answers each request with a script.

    The script gets the connection, an event that is set at the end, and the head of the request.
    """
    over = threading.Event()

    def answer(connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            if not (data := connection.recv(65_536)):
                return
            head += data
        script(*(connection, over, head)[: len(signature(script).parameters)])

    with accepting(answer) as port:
        try:
            yield BucketAccess(endpoint_url=f"http://127.0.0.1:{port}", access_key="key", secret_key="secret")
        finally:
            over.set()


def endless(status: str, headers: str = "", unit: bytes = b"a" * 65_536) -> Script:
    """Answer with a body without end, as fast as it is read."""

    def script(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(f"HTTP/1.1 {status}\r\nETag: e\r\n{headers}\r\n".encode())
        while not over.is_set():
            connection.sendall(unit)

    return script


def dripping(status: str, headers: str = "") -> Script:
    """Answer with a body of a byte every tenth of a second."""

    def script(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(f"HTTP/1.1 {status}\r\nETag: e\r\n{headers}\r\n".encode())
        while not over.wait(0.1):
            connection.sendall(b"a")

    return script


def silent(answer: str = "") -> Script:
    """Send a part of an answer, or nothing, and then nothing more."""

    def script(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(answer.encode())
        over.wait()

    return script


@pytest.mark.parametrize("status", ["200 OK", "404 Not Found", "500 Internal Server Error"])
@pytest.mark.parametrize("headers", ["", "Content-Length: 99999999999\r\n"], ids=["open", "announced"])
def test_an_answer_without_end(status: str, headers: str, tmp_path: Path) -> None:
    """An object larger than allowed, or an error of any size, ends the download within a bound of memory."""
    with hostile_store(endless(status, headers)) as buckets:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(StemlineError) as caught:
            buckets.download(TENANT, "a", tmp_path / "source", max_bytes=4 << 20)
    assert isinstance(caught.value, SourceTooLarge) == (status == "200 OK")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MAX_MEMORY_KIB
    assert not (tmp_path / "source").exists()


def answering(status: str, body: bytes) -> Script:
    """Answer with XML."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n"

    def script(connection: socket.socket) -> None:
        connection.sendall(head.encode() + body)

    return script


@pytest.mark.parametrize("status", ["200 OK", "403 Forbidden"])
@pytest.mark.parametrize(
    "body",
    [
        b"<R>" + b"<a/>" * 1_000_000 + b"</R>",
        b"<a>" * 500_000 + b"</a>" * 500_000,
        b"<a>" * 1_300_000,
        b"<ListPartsResult>" + b"<Part/>" * 500_000 + b"</ListPartsResult>",
        b"<R " + b" ".join(b"a%d='1'" % number for number in range(300_000)) + b"/>",
        ("<R>" + "<a/>" * 500_000 + "</R>").encode("utf-16"),
    ],
    ids=["small elements", "nested", "never closed", "parts", "attributes", "UTF-16"],
)
def test_xml_that_takes_a_hundred_times_its_bytes(
    status: str, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer of many small parts is refused before it becomes objects of Python."""
    monkeypatch.setattr(incoming, "RETRY_S", 0.1)
    with hostile_store(answering(status, body)) as buckets:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(TryAgain):
            buckets.incoming.received(IncomingUpload(TENANT.region, TENANT.bucket, "a", "id", 1))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MAX_MEMORY_KIB


def test_a_long_refusal_is_logged_short() -> None:
    """What a store says when it refuses is cut before it is logged and before secrets are searched in it."""
    message = b"http://" * 100_000

    def refuse(connection: socket.socket) -> None:
        body = b"<Error><Code>AccessDenied</Code><Message>" + message + b"</Message></Error>"
        head = b"HTTP/1.1 403 Forbidden\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n"
        connection.sendall(head % len(body) + body)

    with hostile_store(refuse) as buckets, captured_logs() as lines, pytest.raises(StemlineError) as caught:
        buckets.incoming.begin(TENANT.region, TENANT.bucket, "a", 1, "")
    assert [True] == [1000 < len(line["message"]) <= 1024 for line in lines if "message" in line]
    shown = Redaction().traceback("".join(traceback.format_exception(caught.value)))
    assert len(shown) < 17_000
    assert "Forbidden" in shown


def test_answers_to_everything_else_are_bounded(tmp_path: Path) -> None:
    """What a store answers when an upload is opened or an object asked for is bounded as well."""
    stem = tmp_path / "stem"
    stem.write_bytes(b"la la")
    where, job_id = (TENANT.region, TENANT.bucket), "j" + "0" * 32
    with hostile_store(endless("200 OK")) as buckets:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(StemlineError):
            buckets.stems.stage(*where, "b", stem, job_id=job_id, token=1, content_type="audio/mpeg")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MAX_MEMORY_KIB


def test_a_slow_error_ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An error that drips is given up."""
    monkeypatch.setattr(compat, "MAX_ANSWER_S", 0.5)
    with hostile_store(dripping("500 Internal Server Error")) as buckets, pytest.raises(StemlineError):
        buckets.download(TENANT, "a", tmp_path / "source", max_bytes=4 << 20)


def without_end(unit: bytes, wait_s: float, begin: str = "") -> Script:
    """Begin an answer, and go on with the same bytes for ever."""

    def script(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(begin.encode())
        while not over.wait(wait_s):
            connection.sendall(unit)

    return script


INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"
CHUNKED = "HTTP/1.1 200 OK\r\nETag: e\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nla la\r\n"


@pytest.mark.parametrize(
    "script",
    [
        without_end(b"a", 0.05, "HTTP/1.1 200 OK\r\nX: "),
        without_end(INTERIM, 0.05),
        without_end(INTERIM * 1000, 0),
        without_end(b"0", 0.05, CHUNKED),
        without_end(b"X: y\r\n", 0.05, CHUNKED + "0\r\n"),
        without_end(b"X: y\r\n" * 1000, 0, CHUNKED + "0\r\n"),
    ],
    ids=["head", "interim answers", "many of them", "size of a chunk", "trailers", "many trailers"],
)
def test_what_is_no_body_ends(script: Script, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A store that never comes to the body of its answer, or to its end, holds no thread."""
    monkeypatch.setattr(compat, "MAX_HEAD_S", 0.5)
    monkeypatch.setattr(incoming, "RETRY_S", 0.1)
    began = time.monotonic()
    with hostile_store(script) as buckets:
        with pytest.raises(TryAgain):
            buckets.incoming.begin(TENANT.region, TENANT.bucket, "a", 1, "")
        with pytest.raises(SourceUnavailable):
            buckets.download(TENANT, "a", tmp_path / "source", max_bytes=4 << 20)
    assert time.monotonic() - began < 300  # it would take for ever


def test_a_slow_object_ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An object that drips is given up."""
    monkeypatch.setattr(download, "MIN_BUDGET_S", 0.5)
    with hostile_store(dripping("200 OK")) as buckets, pytest.raises(StemlineError, match="too slowly"):
        buckets.download(TENANT, "a", tmp_path / "source", max_bytes=4 << 20)


def test_a_cancel_ends_a_slow_object(tmp_path: Path) -> None:
    """A download that drips is cancelled at once, not when the next megabyte has arrived."""
    began = time.monotonic()
    with hostile_store(dripping("200 OK")) as buckets, pytest.raises(TransferCancelled):
        buckets.download(
            TENANT,
            "a",
            tmp_path / "source",
            max_bytes=4 << 20,
            cancelled=lambda: time.monotonic() > began + 0.5,
        )
    assert time.monotonic() - began < 180  # it would take for ever


HALF_AN_OBJECT = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nla la"
OPENED = (
    "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
)
UPLOAD = Upload(TENANT.region, TENANT.bucket, "b", "u", "j" + "0" * 32, 1, 5, "0" * 32, ("etag",))


def download_it(buckets: Buckets, path: Path, cancelled: Callable[[], bool]) -> None:
    buckets.download(TENANT, "a", path, max_bytes=4 << 20, cancelled=cancelled)


def open_it(buckets: Buckets, _: Path, cancelled: Callable[[], bool]) -> None:
    where, job_id = (TENANT.region, TENANT.bucket, "b"), UPLOAD.job_id
    buckets.stems.open(*where, job_id=job_id, token=1, content_type="audio/mpeg", cancelled=cancelled)


def send_it(buckets: Buckets, path: Path, cancelled: Callable[[], bool]) -> None:
    path.write_bytes(b"la la")
    buckets.stems.send(UPLOAD, path, cancelled=cancelled)


def complete_it(buckets: Buckets, _: Path, cancelled: Callable[[], bool]) -> None:
    buckets.stems.complete(UPLOAD, expires_at=lambda: time.time() + 600, cancelled=cancelled)


@pytest.mark.parametrize(
    ("script", "transfer"),
    [
        (silent(), download_it),
        (silent(HALF_AN_OBJECT[:60]), download_it),
        (silent(HALF_AN_OBJECT), download_it),
        (silent(), open_it),
        (silent(), send_it),
        (silent(), complete_it),
    ],
    ids=["before the head", "in the head", "in the object", "at the opening", "in a part", "at the end"],
)
def test_a_silent_store_delays_no_cancel(
    script: Script, transfer: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A transfer from or to a store that says nothing is cancelled long before the store is given up."""
    monkeypatch.setattr(clients, "READ_TIMEOUT_S", 600.0)
    began = time.monotonic()
    with hostile_store(script) as buckets, pytest.raises(TransferCancelled):
        transfer(buckets, tmp_path / "file", lambda: time.monotonic() > began + 0.2)
    assert time.monotonic() - began < 60  # it would take ten minutes


def test_a_silent_store_ends_a_cleanup(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a store does not remove in time is left for later sweeps, so that the job ends."""
    monkeypatch.setattr(clients, "READ_TIMEOUT_S", 600.0)
    began = time.monotonic()
    with hostile_store(silent()) as buckets:
        left = cleanup(buckets, [UPLOAD, UPLOAD], job_id=UPLOAD.job_id, token=1)
    assert [UPLOAD, UPLOAD] == left
    assert time.monotonic() - began < 60


def test_an_upload_that_was_opened_too_late_is_aborted() -> None:
    """A store that opens an upload after the cancel is asked to abort it."""
    asked: list[bytes] = []
    aborted, cancelled = threading.Event(), threading.Event()

    def script(connection: socket.socket, over: threading.Event, head: bytes) -> None:
        asked.append(head.split(b" ")[0])
        if asked[-1] == b"DELETE":
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            aborted.set()
        else:
            cancelled.wait(60)
            connection.sendall(OPENED.encode())

    with hostile_store(script) as buckets:
        with pytest.raises(TransferCancelled):
            open_it(buckets, Path(), lambda: bool(asked))
        cancelled.set()
        assert aborted.wait(60)
    assert [b"POST", b"DELETE"] == asked


@pytest.mark.parametrize("status", ["301 Moved Permanently", "302 Found", "307 Temporary Redirect"])
def test_redirects_are_not_followed(status: str, tmp_path: Path) -> None:
    """A store cannot send the worker, and its signature, to another address."""
    elsewhere = socket.create_server(("127.0.0.1", 0))
    elsewhere.settimeout(0.5)
    place = f"http://127.0.0.1:{elsewhere.getsockname()[1]}/x"

    def redirect(connection: socket.socket, over: threading.Event) -> None:
        head = f"HTTP/1.1 {status}\r\nLocation: {place}\r\nx-amz-bucket-region: eu-west-1\r\n"
        connection.sendall(f"{head}Content-Length: 0\r\n\r\n".encode())

    with elsewhere, hostile_store(redirect) as buckets:
        with pytest.raises(StemlineError):
            buckets.download(TENANT, "a", tmp_path / "source", max_bytes=4 << 20)
        with pytest.raises(TimeoutError):
            elsewhere.accept()


def resuming(answer: str) -> Script:
    """Break off the first answer after 50 of 200 bytes, and give this one when asked for the rest."""

    def script(connection: socket.socket, over: threading.Event, head: bytes) -> None:
        if b"\r\nrange:" not in head.lower():
            answer_with(connection, "200 OK\r\nContent-Length: 200", "b" * 50)
        else:
            answer_with(connection, *answer.split("|"))

    def answer_with(connection: socket.socket, status: str, body: str = "") -> None:
        head = f"HTTP/1.1 {status}\r\nETag: e\r\nConnection: close\r\n\r\n"
        connection.sendall((head + body).encode())

    return script


@pytest.mark.parametrize(
    "answer",
    [
        "206 Partial Content\r\nContent-Length: 150|" + "b" * 150,
        "206 Partial Content\r\nContent-Length: 150\r\nContent-Range: bytes 0-149/200|" + "b" * 150,
        "206 Partial Content\r\nContent-Length: 150\r\nContent-Range: bytes 50-198/*|" + "b" * 150,
        "200 OK\r\nContent-Length: 200|" + "b" * 50,
        "200 OK\r\nTransfer-Encoding: chunked|32\r\n" + "b" * 50 + "\r\n0\r\n\r\n",
    ],
    ids=["no place", "another place", "a wrong length", "ignores the range", "ignores it, without a length"],
)
def test_no_part_is_taken_for_the_rest_of_an_object(answer: str, tmp_path: Path) -> None:
    """A store that answers a resumed download with something else is at fault: the job is tried again."""
    with hostile_store(resuming(answer)) as buckets, pytest.raises(SourceUnavailable) as caught:
        buckets.download(TENANT, "a", tmp_path / "source", max_bytes=4 << 20)
    assert caught.value.retryable
    assert not (tmp_path / "source").exists()


def test_an_object_that_is_replaced_again_and_again_is_left() -> None:
    """A store that refuses each conditional delete, whatever was read before, does not go on for ever."""
    own = f"x-amz-meta-stemline-job: {UPLOAD.job_id}\r\nx-amz-meta-stemline-token: 1"

    def script(connection: socket.socket, over: threading.Event, head: bytes) -> None:
        status = "200 OK" if head.startswith(b"HEAD") else "412 Precondition Failed"
        connection.sendall(f"HTTP/1.1 {status}\r\nETag: e\r\n{own}\r\nConnection: close\r\n\r\n".encode())

    with hostile_store(script) as buckets, pytest.raises(TargetDenied):
        buckets.stems.delete_own(TENANT.region, TENANT.bucket, "b", job_id=UPLOAD.job_id, token=1)


@pytest.mark.parametrize("size", ["-5", "9" * 300])
def test_a_size_that_no_object_has_is_not_believed(size: str) -> None:
    """It reaches no record, plan or comparison: the answer counts as none."""

    def script(connection: socket.socket) -> None:
        connection.sendall(
            f"HTTP/1.1 200 OK\r\nETag: e\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n".encode()
        )

    with hostile_store(script) as buckets, pytest.raises(SourceUnavailable):
        buckets.head(TENANT.region, TENANT.bucket, "a")
