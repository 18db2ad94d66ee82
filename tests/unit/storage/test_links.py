"""Links to objects: for how long they are valid, and under which name they are saved."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from stemline.jobs.errors import JobFailed
from stemline.runtime.settings import BucketAccess, Settings
from stemline.storage import Buckets
from stemline.storage.incoming import MIN_PART_BYTES, IncomingUpload

REGION, BUCKET = "ap-chongqing", "media-1250000000"


@pytest.fixture(scope="module")
def buckets() -> Buckets:
    access = BucketAccess(endpoint_url="http://127.0.0.1:1", access_key="k", secret_key="s")
    return Buckets(Settings(buckets={BUCKET: access}))


def query(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


@pytest.mark.parametrize("expires_s", [1, 900, 3600])
def test_a_link_is_valid_for_as_long_as_it_is_asked_for(buckets: Buckets, expires_s: int) -> None:
    """The store refuses it afterwards; it opens one object, and is signed."""
    url = buckets.presign_get(REGION, BUCKET, "out/ü +.mp3", expires_s=expires_s)
    asked = query(url)
    assert (f"/{BUCKET}/out/%C3%BC%20%2B.mp3", str(expires_s)) == (urlsplit(url).path, asked["X-Amz-Expires"])
    assert len(asked["X-Amz-Signature"]) == 64
    assert "response-content-disposition" not in asked


@pytest.mark.parametrize("name", ["song.mp3", 'a";b\r\nc', "夜.mp3"])
def test_a_link_may_name_the_file_that_is_saved(buckets: Buckets, name: str) -> None:
    """Whatever letters a name has, it is one value of the header that browsers read."""
    asked = query(buckets.presign_get(REGION, BUCKET, "k", download=name))["response-content-disposition"]
    form, _, encoded = asked.partition("''")
    assert form == "attachment; filename*=UTF-8"
    assert encoded.isascii()
    assert not set(encoded) & set('";\r\n ')
    assert name == parse_qs(f"n={encoded}")["n"][0]


def test_there_is_no_link_to_a_bucket_that_is_not_configured(buckets: Buckets) -> None:
    """A bucket without an entry is refused."""
    with pytest.raises(JobFailed):
        buckets.presign_get(REGION, "other-1250000000", "k")


def test_the_url_of_a_part_is_valid_for_an_hour(buckets: Buckets) -> None:
    """It takes one part of an upload, of its size, and the store refuses it afterwards."""
    upload = IncomingUpload(REGION, BUCKET, "uploads/0/a.wav", "some id", size=MIN_PART_BYTES + 7)
    urls = buckets.incoming.urls(upload, (1, 2))
    assert 2 == len(urls)
    for number, url in enumerate(urls, start=1):
        asked = query(url)
        assert ("3600", str(number), "some id") == (
            asked["X-Amz-Expires"],
            asked["partNumber"],
            asked["uploadId"],
        )
        assert "content-length" in asked["X-Amz-SignedHeaders"]
        assert len(asked["X-Amz-Signature"]) == 64
