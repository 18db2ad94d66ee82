"""Uploads of sources by clients: which parts count, and what a refusal of the store means for the client."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from botocore.stub import Stubber

from stemline.jobs.errors import Forbidden, NoSuchResource, RequestRefused, TryAgain
from stemline.runtime.settings import BucketAccess, Settings
from stemline.storage import Buckets
from stemline.storage.incoming import MIN_PART_BYTES, IncomingUpload

REGION, BUCKET = "ap-chongqing", "media-1250000000"
NAMES = {"Bucket": BUCKET, "Key": "uploads/0/a.wav", "UploadId": "id"}
UPLOAD = IncomingUpload(REGION, BUCKET, "uploads/0/a.wav", "id", size=2 * MIN_PART_BYTES + 7)
"""Of three parts, the last one short."""


@pytest.fixture(scope="module")
def buckets() -> Buckets:
    access = BucketAccess(endpoint_url="http://127.0.0.1:1", access_key="k", secret_key="s")
    return Buckets(Settings(buckets={BUCKET: access}))


@pytest.fixture
def store(buckets: Buckets) -> Iterator[Stubber]:
    """A store that gives planned answers to planned requests."""
    with Stubber(buckets.incoming._clients.for_bucket(REGION, BUCKET).s3) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def listed(store: Stubber, *parts: tuple[int, int], marker: int = 0, following: int | None = None) -> None:
    """Plan a page of a list of parts: numbers and sizes."""
    page = {"Parts": [{"PartNumber": each, "Size": size, "ETag": f"e{each}"} for each, size in parts]}
    more = {"IsTruncated": following is not None} | ({"NextPartNumberMarker": following} if following else {})
    store.add_response("list_parts", page | more, NAMES | {"PartNumberMarker": marker})


def test_parts_of_all_pages_count_if_they_are_whole(buckets: Buckets, store: Stubber) -> None:
    """Of a size or a number that the upload does not have they do not, so they are sent again."""
    listed(store, (1, MIN_PART_BYTES), (2, MIN_PART_BYTES - 1), following=2)
    listed(store, (3, 7), (4, MIN_PART_BYTES), marker=2)
    assert {1: "e1", 3: "e3"} == buckets.incoming.received(UPLOAD)


def test_a_list_that_does_not_go_on_is_asked_for_once(buckets: Buckets, store: Stubber) -> None:
    """A store that says that there is more, and gives the same place again, holds no client for ever."""
    listed(store, (1, MIN_PART_BYTES), following=1)
    listed(store, (2, MIN_PART_BYTES), marker=1, following=1)
    assert {1, 2} == buckets.incoming.received(UPLOAD).keys()


@pytest.mark.parametrize(("there", "first"), [((2, 3), 1), ((1, 3), 2), ((1, 2), 3)])
def test_an_upload_that_lacks_a_part_is_not_completed(
    buckets: Buckets, store: Stubber, there: tuple[int, ...], first: int
) -> None:
    """Whichever it is, the last one too: the object would be shorter than the client announced."""
    listed(store, *((each, UPLOAD.bytes_of(each)) for each in there))
    with pytest.raises(RequestRefused, match=f"lacks 1 of 3 parts, the first is {first}"):
        buckets.incoming.complete(UPLOAD)


def test_parts_are_completed_in_order(buckets: Buckets, store: Stubber) -> None:
    """In whichever order the store lists them, which it would refuse."""
    listed(store, *((each, UPLOAD.bytes_of(each)) for each in (3, 1, 2)))
    parts = [{"PartNumber": each, "ETag": f"e{each}"} for each in (1, 2, 3)]
    store.add_response("complete_multipart_upload", {}, NAMES | {"MultipartUpload": {"Parts": parts}})
    buckets.incoming.complete(UPLOAD)
    store.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("NoSuchUpload", 404, NoSuchResource),
        ("AccessDenied", 403, Forbidden),
        ("InvalidAccessKeyId", 403, TryAgain),
        ("RequestTimeTooSkewed", 403, TryAgain),
    ],
)
def test_a_refusal_says_who_is_to_do_something(
    buckets: Buckets, store: Stubber, code: str, status: int, kind: type[Exception]
) -> None:
    """A gone upload is the client's to begin anew, wrong keys are the operator's, and pass."""
    store.add_client_error("abort_multipart_upload", code, http_status_code=status, expected_params=NAMES)
    with pytest.raises(kind, match="no such upload" if kind is NoSuchResource else code) as refused:
        buckets.incoming.abort(UPLOAD)
    error = refused.value
    assert not isinstance(error, TryAgain) or 60 == error.retry_after_s
