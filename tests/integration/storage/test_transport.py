"""How requests to a store travel: proxies, authorities, and answers that no store should give."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stemline.jobs.errors import SourceTooLarge, SourceUnavailable, TargetUnavailable
from stemline.jobs.tenant import Tenant
from stemline.runtime.settings import BucketAccess, Settings
from stemline.storage import Buckets
from stemline.testing.s3_proxy import Fault, FaultyProxy, once
from tests.conftest import S3
from tests.support.certificates import make_certificate, server_context

pytestmark = pytest.mark.slow

JOB = "j" + "0" * 32
CA_VARIABLES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "AWS_PROFILE", "AWS_CONFIG_FILE")


@pytest.fixture
def proxy(s3: S3) -> Iterator[FaultyProxy]:
    """A proxy before the real server, over plain http."""
    proxy = FaultyProxy(s3.endpoint_url)
    yield proxy
    proxy.close()


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without authorities and proxies."""
    proxies = [f"{kind}_proxy" for kind in ("http", "https", "no", "all")]
    for name in (*CA_VARIABLES, *proxies, *map(str.upper, proxies)):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def buckets_at(s3: S3, endpoint_url: str, ca_bundle: Path | None = None, budget_s: float = 60.0) -> Buckets:
    access = BucketAccess(
        endpoint_url=endpoint_url, access_key=s3.access_key, secret_key=s3.secret_key, ca_bundle=ca_bundle
    )
    return Buckets(Settings(buckets={s3.bucket: access}, storage_patience_s=budget_s))


def soon() -> Callable[[], float]:
    end = time.time() + 120
    return lambda: end


def use_every_operation(buckets: Buckets, s3: S3, folder: Path) -> None:
    """Stage, complete, read and delete an object, and abort an upload."""
    path, where = folder / "stem", (s3.region, s3.bucket)
    path.write_bytes(b"la la")
    for key in ("out/a", "out/b"):
        upload = buckets.stems.stage(*where, key, path, job_id=JOB, token=1, content_type="audio/mpeg")
        if key == "out/a":
            buckets.stems.complete(upload, expires_at=soon())
        else:
            buckets.stems.abort(upload)
    tenant = Tenant(s3.bucket, s3.region)
    assert 5 == buckets.download(tenant, "out/a", folder / "read", max_bytes=100).size
    assert b"la la" == (folder / "read").read_bytes()
    assert buckets.stems.delete_own(*where, "out/a", job_id=JOB, token=1, expires_at=soon())
    assert buckets.head(*where, "out/a") is None


def test_every_operation_uses_the_proxy_of_the_environment(
    s3: S3, proxy: FaultyProxy, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With HTTP_PROXY every request goes through it, Complete and Delete too."""
    environment.setenv("HTTP_PROXY", proxy.endpoint_url)
    use_every_operation(buckets_at(s3, "http://s3.example.invalid"), s3, tmp_path)
    assert len(proxy.seen) == proxy.proxied
    assert {"POST", "PUT", "GET", "HEAD", "DELETE"} == {method for method, _ in proxy.seen}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that no public authority signed."""
    return make_certificate(tmp_path_factory.mktemp("tls"), "store", "IP:127.0.0.1")


@pytest.fixture
def tls_proxy(s3: S3, certificate: Path) -> Iterator[FaultyProxy]:
    """A proxy before the real server that speaks https."""
    proxy = FaultyProxy(s3.endpoint_url, tls=server_context(certificate))
    yield proxy
    proxy.close()


def profile(folder: Path, certificate: Path) -> dict[str, str]:
    config = folder / "config"
    config.write_text(f"[profile own]\nca_bundle = {certificate}\n")
    return {"AWS_CONFIG_FILE": str(config), "AWS_PROFILE": "own"}


@pytest.mark.parametrize("given", ["field", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "profile"])
def test_every_operation_trusts_the_given_authority(
    given: str,
    s3: S3,
    tls_proxy: FaultyProxy,
    certificate: Path,
    environment: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """A private authority may be named by the bucket's field, by either variable, or by the profile."""
    variables = profile(tmp_path, certificate) if given == "profile" else {given: str(certificate)}
    for name, value in variables.items():
        environment.setenv(name, value)
    own = certificate if given == "field" else None
    use_every_operation(buckets_at(s3, tls_proxy.endpoint_url, own), s3, tmp_path)
    assert {"POST", "PUT", "GET", "HEAD", "DELETE"} == {method for method, _ in tls_proxy.seen}


def test_an_unknown_authority_is_refused(
    s3: S3, tls_proxy: FaultyProxy, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without the authority no request is sent, and the error is retryable."""
    buckets = buckets_at(s3, tls_proxy.endpoint_url, budget_s=0.3)
    with pytest.raises(SourceUnavailable, match="its certificate is not trusted"):
        buckets.download(Tenant(s3.bucket, s3.region), "a", tmp_path / "a", max_bytes=10)
    assert [] == tls_proxy.seen


def test_the_field_of_a_bucket_precedes_the_environment(
    s3: S3, tls_proxy: FaultyProxy, certificate: Path, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where a variable names another authority, the bucket's own still counts."""
    environment.setenv("AWS_CA_BUNDLE", str(make_certificate(tmp_path, "other", "DNS:other.test")))
    use_every_operation(buckets_at(s3, tls_proxy.endpoint_url, certificate), s3, tmp_path)
    assert {"POST", "PUT", "GET", "HEAD", "DELETE"} == {method for method, _ in tls_proxy.seen}


ODD_BODIES = [
    b"",
    b"   \n  ",
    b"<?xml version='1.0' encoding='UTF-8'?>\n   ",
    b"<Error><Code>InternalError</Code></Error>",
    b"<html><body>It works!</body></html>",
    b"{}",
]


@pytest.mark.parametrize(("status", "body"), [(204, b""), *((200, body) for body in ODD_BODIES)])
def test_only_a_result_means_published(
    status: int, body: bytes, s3: S3, proxy: FaultyProxy, tmp_path: Path
) -> None:
    """A success of Complete without its result is repeated, and never taken for published."""
    buckets, path = buckets_at(s3, proxy.endpoint_url, budget_s=0.5), tmp_path / "stem"
    path.write_bytes(b"x")
    upload = buckets.stems.stage(s3.region, s3.bucket, "out/a", path, job_id=JOB, token=1, content_type="a/b")
    proxy.plan = lambda method, _: Fault(status=status, body=body) if method == "POST" else None
    with pytest.raises(TargetUnavailable):
        buckets.stems.complete(upload, expires_at=soon())
    assert buckets.head(s3.region, s3.bucket, "out/a") is None
    proxy.plan = once(Fault(status=status, body=body), method="POST", having="uploadId")
    buckets.stems.complete(upload, expires_at=soon())
    assert buckets.head(s3.region, s3.bucket, "out/a") is not None


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("body", ODD_BODIES[:3])
def test_an_empty_answer_to_an_upload_is_repeated(
    method: str, body: bytes, s3: S3, proxy: FaultyProxy, tmp_path: Path
) -> None:
    """A 200 without UploadId or ETag is retried; while it lasts the store counts as unavailable."""
    path, where = tmp_path / "stem", (s3.region, s3.bucket, "out/a")
    path.write_bytes(b"x")
    fault = Fault(status=200, body=body)
    proxy.plan = once(fault, method=method)
    buckets_at(s3, proxy.endpoint_url).stems.stage(*where, path, job_id=JOB, token=1, content_type="a/b")
    proxy.plan = lambda asked, _: fault if asked == method else None
    with pytest.raises(TargetUnavailable):
        buckets_at(s3, proxy.endpoint_url, budget_s=0.5).stems.stage(
            *where, path, job_id=JOB, token=1, content_type="a/b"
        )


def test_a_source_without_content_length_arrives_whole(s3: S3, proxy: FaultyProxy, tmp_path: Path) -> None:
    """A chunked answer is read to its end; one that is larger than allowed is refused while it is read."""
    data = os.urandom(3 << 20)
    s3.client.put_object(Bucket=s3.bucket, Key="in/a", Body=data)
    proxy.plan = lambda *_: Fault(chunked=True)
    buckets, tenant, path = buckets_at(s3, proxy.endpoint_url), Tenant(s3.bucket, s3.region), tmp_path / "a"
    assert len(data) == buckets.download(tenant, "in/a", path, max_bytes=len(data)).size
    assert data == path.read_bytes()
    with pytest.raises(SourceTooLarge):
        buckets.download(tenant, "in/a", path, max_bytes=len(data) - 1)
    assert not path.exists()


def test_a_broken_source_without_content_length_is_downloaded_again(
    s3: S3, proxy: FaultyProxy, tmp_path: Path
) -> None:
    """A chunked answer that ends early is an interrupted download, not a shorter object."""
    data = os.urandom(3 << 20)
    s3.client.put_object(Bucket=s3.bucket, Key="in/a", Body=data)
    proxy.plan = once(Fault(chunked=True, cut_after=2 << 20), method="GET")
    path = tmp_path / "a"
    found = buckets_at(s3, proxy.endpoint_url).download(
        Tenant(s3.bucket, s3.region), "in/a", path, max_bytes=len(data)
    )
    assert (len(data), data) == (found.size, path.read_bytes())
