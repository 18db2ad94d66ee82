"""Whose fault a refused request is, for every status and code, at every call."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import botocore.exceptions
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import BotoCoreError, ClientError

from stemline.jobs import errors
from stemline.jobs.errors import LeaseLost, StemlineError, TryAgain
from stemline.jobs.tenant import Tenant
from stemline.runtime.settings import BucketAccess, Settings
from stemline.storage import Buckets, Upload, expiring_request
from stemline.storage.access_check import BucketsUnusable
from stemline.storage.faults import CODES, STATUSES, Fault, fault_of

REGION, BUCKET = "ap-chongqing", "media-1250000000"
TENANT = Tenant(BUCKET, REGION)
UPLOAD = Upload(REGION, BUCKET, "key", "upload-id", "j", 1, 4, "", ('"e"',))
ANSWERED = sorted({*range(300, 304), 305, 307, 308, *range(400, 430), 431, 451, *range(500, 512), 520, 599})
FINAL = {Fault.DENIED, Fault.MISSING, Fault.REQUEST}
PAGE = b"<!DOCTYPE html><html><body>Access to this address is blocked</body></html>"


def xml(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>m</Message></Error>".encode()


def refused(status: int, code: str, operation: str = "GetObject") -> ClientError:
    details: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(details, operation)


#: An answer, and whose fault it is, whatever was asked.
REFUSALS: dict[str, tuple[int, bytes, Fault]] = {
    "307": (307, b"", Fault.STORE),
    "307 of S3": (307, xml("TemporaryRedirect"), Fault.STORE),
    "302 of a portal": (302, PAGE, Fault.STORE),
    "301": (301, xml("PermanentRedirect"), Fault.ENTRY),
    "403 of a filter": (403, PAGE, Fault.STORE),
    "404 of a balancer": (404, b"default backend - 404", Fault.STORE),
    "407": (407, b"", Fault.WORKER),
    "407 with a page": (407, PAGE, Fault.WORKER),
    "511": (511, PAGE, Fault.WORKER),
    "expired token": (400, xml("ExpiredToken"), Fault.WORKER),
    "invalid token": (400, xml("InvalidToken"), Fault.WORKER),
    "clock": (403, xml("RequestTimeTooSkewed"), Fault.WORKER),
    "unknown key": (403, xml("InvalidAccessKeyId"), Fault.ENTRY),
    "wrong secret": (403, xml("SignatureDoesNotMatch"), Fault.ENTRY),
    "wrong region": (400, xml("AuthorizationHeaderMalformed"), Fault.ENTRY),
    "policy": (403, xml("AccessDenied"), Fault.DENIED),
    "no method": (405, xml("MethodNotAllowed"), Fault.REQUEST),
    "busy": (503, xml("SlowDown"), Fault.STORE),
}
OF_SOURCE: dict[Fault, type[StemlineError]] = {
    Fault.STORE: errors.SourceUnavailable,
    Fault.WORKER: errors.SourceWorkerAtFault,
    Fault.ENTRY: errors.SourceEntryRefused,
    Fault.DENIED: errors.SourceAccessDenied,
    Fault.REQUEST: errors.SourceDownloadFailed,
}
OF_TARGET: dict[Fault, type[StemlineError]] = {
    Fault.STORE: errors.TargetUnavailable,
    Fault.WORKER: errors.TargetWorkerAtFault,
    Fault.ENTRY: errors.TargetEntryRefused,
    Fault.DENIED: errors.TargetDenied,
    Fault.REQUEST: errors.TargetDenied,
}
SOURCE_CALLS: dict[str, Callable[[Buckets, Path], Any]] = {
    "download": lambda buckets, path: buckets.download(TENANT, "key", path, max_bytes=1 << 20),
    "pieces": lambda buckets, _: list(buckets.pieces(TENANT, "key", max_bytes=1 << 20, within_s=5)),
}
TARGET_CALLS: dict[str, Callable[[Buckets, Path], Any]] = {
    "create": lambda buckets, _: buckets.stems.open(
        REGION, BUCKET, "key", job_id="j", token=1, content_type="audio/wav"
    ),
    "part": lambda buckets, path: buckets.stems.send(UPLOAD, path),
    "complete": lambda buckets, _: buckets.stems.complete(UPLOAD, expires_at=lambda: time.time() + 60),
}


@pytest.fixture(scope="module")
def buckets() -> Buckets:
    """Buckets of a store that is nowhere."""
    access = BucketAccess(endpoint_url="http://127.0.0.1:9", access_key="A" * 20, secret_key="s" * 20)
    return Buckets(Settings(region=REGION, buckets={"*": access}, storage_patience_s=0.01))


@pytest.fixture
def answer(buckets: Buckets, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, bytes], None]]:
    """Let the store answer everything with this status and body."""
    now: dict[str, Any] = {}

    def send(*_: object, **__: object) -> AWSResponse:
        raw = io.BytesIO(now["body"])
        raw.stream = lambda *_: iter([raw.read()])  # type: ignore[attr-defined]
        return AWSResponse("http://store", now["status"], {"Content-Type": "text/html"}, raw)

    s3 = buckets._clients.for_bucket(REGION, BUCKET).s3
    s3.meta.events.register("before-send.s3", send)
    monkeypatch.setattr(expiring_request, "http_session", lambda _: SimpleNamespace(send=send))
    yield lambda status, body: now.update(status=status, body=body)
    s3.meta.events.unregister("before-send.s3", send)


@pytest.mark.parametrize("operation", ["GetObject", "CreateMultipartUpload", "UploadPart", "HeadObject"])
def test_every_status_and_code_has_one_meaning(operation: str) -> None:
    """Codes count before statuses; without a code only a store's plain answers to HEAD can be final."""
    for status in ANSWERED:
        for code, fault in CODES.items():
            assert fault_of(refused(status, code, operation)) is fault
        named = fault_of(refused(status, "SomeCode", operation))
        if status not in STATUSES:
            assert named is (Fault.REQUEST if 400 <= status < 500 else Fault.STORE) or status == 400
        bare = fault_of(refused(status, str(status), operation))
        if operation != "HeadObject" and status in {400, 401, 403, 404, 405}:
            assert bare is Fault.STORE
        else:
            assert bare is named
    assert fault_of(refused(400, "400", "HeadObject")) is Fault.WORKER


def test_what_botocore_raises_before_a_request_is_the_workers_unless_the_request_is_wrong() -> None:
    """No kind of error about profiles, roles, proxies or tokens ends a job."""
    kinds = [each for each in vars(botocore.exceptions).values() if isinstance(each, type)]
    own = ("Credential", "Profile", "Config", "SSO", "Token", "Metadata", "Proxies", "Login", "MFA", "IMDS")
    found = 0
    for kind in kinds:
        if issubclass(kind, BotoCoreError) and any(word in kind.__name__ for word in own):
            if "UnsupportedS3" in kind.__name__ or issubclass(kind, botocore.exceptions.ValidationError):
                continue
            error: BaseException = BaseException.__new__(kind)
            assert fault_of(error) not in FINAL, kind
            found += 1
    assert found > 15
    for service in ("AssumeRole", "AssumeRoleWithWebIdentity", "GetRoleCredentials"):
        assert fault_of(refused(403, "AccessDenied", service)) is Fault.WORKER


@pytest.mark.parametrize("name", REFUSALS)
@pytest.mark.parametrize("call", [*SOURCE_CALLS, *TARGET_CALLS])
def test_a_refusal_means_the_same_at_every_call(
    call: str, name: str, buckets: Buckets, answer: Any, tmp_path: Path
) -> None:
    """A fault of the worker, its entry or the way to the store puts a job off, whatever it was doing."""
    status, body, fault = REFUSALS[name]
    answer(status, body)
    path = tmp_path / "stem"
    path.write_bytes(b"stem")
    ask = {**SOURCE_CALLS, **TARGET_CALLS}[call]
    kind = (OF_SOURCE if call in SOURCE_CALLS else OF_TARGET)[fault]
    with pytest.raises(errors.JobFailed) as caught:
        ask(buckets, path)
    assert type(caught.value) is kind
    assert caught.value.retryable is (fault not in FINAL)
    assert not caught.value.counts


@pytest.mark.parametrize("call", [*SOURCE_CALLS, *TARGET_CALLS])
def test_a_page_in_the_stores_place_is_no_object(
    call: str, buckets: Buckets, answer: Any, tmp_path: Path
) -> None:
    """A 200 of a captive portal is neither a source nor a written stem."""
    answer(200, PAGE)
    (tmp_path / "stem").write_bytes(b"stem")
    with pytest.raises(errors.JobFailed) as caught:
        {**SOURCE_CALLS, **TARGET_CALLS}[call](buckets, tmp_path / "stem")
    assert caught.value.retryable


def test_metadata_and_deletions_are_not_taken_from_a_page(buckets: Buckets, answer: Any) -> None:
    """Nor is an object known, or deleted, that a page stands for."""
    answer(200, PAGE)
    with pytest.raises(errors.SourceUnavailable, match="has no ETag"):
        buckets.head(REGION, BUCKET, "key")
    with pytest.raises(errors.TargetUnavailable):
        buckets.stems.delete_own(REGION, BUCKET, "key", job_id="j", token=1)


def test_an_upload_that_a_rule_removed_is_begun_again(buckets: Buckets, answer: Any, tmp_path: Path) -> None:
    """A part that finds no upload ends the attempt and not the job."""
    answer(404, xml("NoSuchUpload"))
    (tmp_path / "stem").write_bytes(b"stem")
    with pytest.raises(LeaseLost):
        buckets.stems.send(UPLOAD, tmp_path / "stem")


@pytest.mark.parametrize("name", REFUSALS)
def test_a_worker_refuses_to_start_where_it_would_put_every_job_off(
    name: str, buckets: Buckets, answer: Any
) -> None:
    """What is the worker's or its entry's fault is found before a job is claimed; the rest is not."""
    status, body, fault = REFUSALS[name]
    answer(status, body)
    if fault in {Fault.WORKER, Fault.ENTRY} and status != 301:
        with pytest.raises(BucketsUnusable, match=r"clock|proxy|keys"):
            buckets.check_access(max_skew_s=60)
    else:
        buckets.check_access(max_skew_s=60)


@pytest.mark.parametrize("name", ["407", "expired token", "wrong secret"])
def test_a_client_that_uploads_is_told_to_come_back(name: str, buckets: Buckets, answer: Any) -> None:
    """The service's own keys and proxy are no reason to forbid an upload."""
    answer(*REFUSALS[name][:2])
    with pytest.raises(TryAgain, match="cannot use the bucket's store"):
        buckets.incoming.begin(REGION, BUCKET, "key", 5, "audio/wav")
