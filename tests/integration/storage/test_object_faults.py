"""One faulty object is distinguished from an outage of the store, and every published object is checked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from stemline.jobs.errors import (
    SourceObjectUnavailable,
    SourceUnavailable,
    TargetNotWritten,
    TargetObjectUnavailable,
    TargetUnavailable,
)
from stemline.jobs.tenant import Tenant
from stemline.runtime.settings import BucketAccess, Settings
from stemline.storage import Buckets, Upload, publish
from stemline.storage.retry import RetryBudget
from stemline.testing.s3_proxy import Fault, FaultyProxy
from stemline.wire.errors import code_of
from tests.conftest import S3

_JOB = "j" + "0" * 32


@pytest.fixture
def proxy(s3: S3) -> Iterator[FaultyProxy]:
    """A proxy before the real server, without faults until a test plans some."""
    proxy = FaultyProxy(s3.endpoint_url)
    yield proxy
    proxy.close()


@pytest.fixture
def buckets(s3: S3, proxy: FaultyProxy) -> Buckets:
    """Buckets behind the proxy that retry for half a second."""
    access = BucketAccess(endpoint_url=proxy.endpoint_url, access_key=s3.access_key, secret_key=s3.secret_key)
    return Buckets(Settings(buckets={s3.bucket: access}, storage_patience_s=0.5))


def _staged(buckets: Buckets, s3: S3, path: Path, key: str) -> Upload:
    path.write_bytes(b"stem")
    return buckets.stems.stage(
        s3.region, s3.bucket, key, path, job_id=_JOB, token=1, content_type="audio/mpeg"
    )


def _expires_at() -> float:
    return time.time() + 120


def _only(part: str) -> Callable[[str, str], Fault | None]:
    """Return a plan that answers 500 to every request for one object."""
    return lambda method, path: Fault(status=500) if part in path else None


def test_one_object_that_always_fails_is_the_jobs_own(
    s3: S3, proxy: FaultyProxy, buckets: Buckets, tmp_path: Path
) -> None:
    """A lasting 500 for one object counts as an attempt; other objects of the bucket are not affected."""
    proxy.plan = _only("bad")
    with pytest.raises(TargetObjectUnavailable) as caught:
        _staged(buckets, s3, tmp_path / "stem", "out/bad.mp3")
    assert caught.value.counts
    assert code_of(caught.value) == "WriteTargetObjectFailed"
    with pytest.raises(SourceObjectUnavailable) as refused:
        buckets.download(Tenant(s3.bucket, s3.region), "in/bad", tmp_path / "source", max_bytes=100)
    assert refused.value.counts
    assert code_of(refused.value) == "ResourceDownloadFailed"
    good = _staged(buckets, s3, tmp_path / "stem", "out/good.mp3")
    buckets.stems.complete(good, expires_at=_expires_at)


def test_an_outage_does_not_count(s3: S3, proxy: FaultyProxy, buckets: Buckets, tmp_path: Path) -> None:
    """While the bucket itself does not respond, no attempt counts."""
    proxy.plan = lambda method, path: Fault(status=500)
    with pytest.raises(TargetUnavailable) as caught:
        _staged(buckets, s3, tmp_path / "stem", "out/bad.mp3")
    with pytest.raises(SourceUnavailable) as refused:
        buckets.download(Tenant(s3.bucket, s3.region), "in/bad", tmp_path / "source", max_bytes=100)
    assert not caught.value.counts
    assert not refused.value.counts


@pytest.mark.parametrize("key", ["out/a.mp3", "out/ü +&.mp3"])
def test_published_objects_are_checked(
    s3: S3, proxy: FaultyProxy, buckets: Buckets, tmp_path: Path, key: str
) -> None:
    """An object that is missing or of another size after it was published is a failure that counts."""
    upload = _staged(buckets, s3, tmp_path / "stem", key)
    proxy.plan = lambda method, path: Fault(status=404) if method == "HEAD" else None
    with pytest.raises(TargetNotWritten, match="no object") as caught:
        buckets.stems.complete(upload, expires_at=_expires_at)
    assert (caught.value.retryable, caught.value.counts) == (True, True)
    assert code_of(caught.value) == "WriteTargetObjectFailed"


def test_a_wrong_size_is_a_failure(s3: S3, buckets: Buckets, tmp_path: Path) -> None:
    """The size that the store reports is compared with that of the stem."""
    upload = _staged(buckets, s3, tmp_path / "stem", "out/a.mp3")
    buckets.stems.complete(upload, expires_at=_expires_at)
    s3.client.put_object(Bucket=s3.bucket, Key="out/a.mp3", Body=b"")
    again = _staged(buckets, s3, tmp_path / "stem", "out/b.mp3")
    buckets.stems.complete(again, expires_at=_expires_at)
    client = buckets._clients.for_bucket(s3.region, s3.bucket)
    assert publish.stored_size(client, upload, RetryBudget(1.0)) == 0
    assert publish.stored_size(client, again, RetryBudget(1.0)) == 4


def test_what_an_earlier_attempt_left_is_no_published_stem(s3: S3, buckets: Buckets, tmp_path: Path) -> None:
    """Where a store kept nothing of a completed upload, what the job left there before does not count."""
    upload = _staged(buckets, s3, tmp_path / "stem", "out/a.mp3")
    buckets.stems.complete(upload, expires_at=_expires_at)
    client = buckets._clients.for_bucket(s3.region, s3.bucket)
    assert publish.stored_size(client, upload, RetryBudget(1.0)) == upload.size
    assert publish.stored_size(client, replace(upload, token=upload.token + 1), RetryBudget(1.0)) is None


def test_credentials_that_may_not_read_still_publish(
    s3: S3, proxy: FaultyProxy, buckets: Buckets, tmp_path: Path
) -> None:
    """Where HEAD is denied, the size is not checked."""
    upload = _staged(buckets, s3, tmp_path / "stem", "out/a.mp3")
    proxy.plan = lambda method, path: Fault(status=403) if method == "HEAD" else None
    buckets.stems.complete(upload, expires_at=_expires_at)
    published = s3.client.head_object(Bucket=s3.bucket, Key="out/a.mp3")
    assert upload.size == published["ContentLength"]
