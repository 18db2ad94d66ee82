"""Answers of a store with an invalid date or number: an error of the store, whatever botocore raises."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from stemline.jobs.errors import JobFailed
from stemline.runtime.settings import BucketAccess, Settings
from stemline.storage import Buckets
from stemline.storage.faults import Fault, fault_of
from stemline.storage.s3_errors import REQUEST_ERRORS

OPERATIONS: dict[str, dict[str, Any]] = {
    "get_object": {},
    "head_object": {},
    "list_parts": {"UploadId": "u"},
    "create_multipart_upload": {},
    "upload_part": {"UploadId": "u", "PartNumber": 1, "Body": b""},
    "upload_part_copy": {"UploadId": "u", "PartNumber": 1, "CopySource": "b/k"},
    "abort_multipart_upload": {"UploadId": "u"},
    "delete_object": {},
}
"""What is asked of stores, and the parameters beside bucket and key."""
NO_VALUES = ("x", "", "9" * 5000, "Mon, 01 Jan 999999999999999999999 00:00:00 GMT", "1e300", "-1", "\xff")


class Raw(io.BytesIO):
    """A body as urllib3 gives it."""

    def stream(self, *_: object) -> Iterator[bytes]:
        yield self.read()


@pytest.fixture(scope="module")
def buckets() -> Buckets:
    """Buckets of a store that is nowhere."""
    access = BucketAccess(endpoint_url="http://127.0.0.1:9", access_key="A" * 20, secret_key="s" * 20)
    return Buckets(Settings(region="ap-chongqing", buckets={"*": access}, storage_patience_s=0.01))


@pytest.fixture(scope="module")
def s3(buckets) -> Any:
    return buckets._clients.for_bucket("ap-chongqing", "media-1250000000").s3


@pytest.fixture
def answers(s3) -> Iterator[Callable[..., None]]:
    """Let the store give an answer with this header, or this body."""
    now: dict[str, Any] = {}

    def send(**_: object) -> AWSResponse:
        return AWSResponse("http://store", 200, now["headers"], Raw(now["body"]))

    s3.meta.events.register("before-send.s3", send)
    yield lambda headers=None, body=b"": now.update(headers=headers or {}, body=body)
    s3.meta.events.unregister("before-send.s3", send)


def may_change(s3: Any, operation: str) -> bool:
    """Whether the answer is read, or is an error of a store that may send another one."""
    try:
        getattr(s3, operation)(Bucket="media-1250000000", Key="k", **OPERATIONS[operation])
    except REQUEST_ERRORS as error:
        return fault_of(error) is Fault.STORE
    return True


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_header_that_is_no_number_or_date(s3, answers, operation):
    """Each header of each answer may hold anything: it is read, or counts as one that may change."""
    shape = s3.meta.service_model.operation_model(s3.meta.method_to_api_mapping[operation]).output_shape
    names = {
        member.serialization["name"]
        for member in (shape.members.values() if shape else ())
        if member.serialization.get("location") == "header"
    } | {"Date", "x-amz-missing-meta", "Content-Length"}
    for name in sorted(names):
        for value in NO_VALUES:
            answers({name: value})
            assert may_change(s3, operation), (name, value)


@pytest.mark.parametrize(
    "name", ["PartNumber", "Size", "LastModified", "NextPartNumberMarker", "IsTruncated"]
)
@pytest.mark.parametrize("value", NO_VALUES[:-1])
def test_an_element_that_is_no_number_or_date(s3, answers, name, value):
    """The same is true of elements in lists."""
    part = f"<Part><{name}>{value}</{name}></Part><{name}>{value}</{name}>"
    answers(body=f'<R xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{part}</R>'.encode())
    assert may_change(s3, "list_parts")


@pytest.mark.parametrize("body", [b"<a>" * 100_000, b"\xff\xfe<", b"not XML"])
def test_a_body_that_is_no_xml(s3, answers, body):
    """A body that is no list is no answer."""
    answers(body=body)
    assert may_change(s3, "list_parts")


def test_a_job_learns_of_it_as_of_a_store_that_fails(buckets, answers):
    """Metadata that cannot be read is an error of jobs, which tries again later."""
    answers({"Last-Modified": "garbage"})
    with pytest.raises(JobFailed, match="The answer to HeadObject cannot be read") as raised:
        buckets.head("ap-chongqing", "media-1250000000", "k")
    assert raised.value.retryable
    answers({"ETag": '"e"', "x-amz-meta-stemline-token": "9" * 5000, "x-amz-meta-stemline-job": "j"})
    found = buckets.head("ap-chongqing", "media-1250000000", "k")
    assert ("j", 0) == (found.job_id, found.token)
