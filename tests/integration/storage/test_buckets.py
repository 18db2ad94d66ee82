"""Buckets on a real S3 server, through a proxy that injects the faults of networks and stores."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stemline.jobs.errors import (
    LeaseLost,
    SourceAccessDenied,
    SourceBucketUnknown,
    SourceEntryRefused,
    SourceNotFound,
    SourceTooLarge,
    SourceUnavailable,
    TargetDenied,
    TargetUnavailable,
)
from stemline.jobs.tenant import Tenant
from stemline.runtime.settings import BucketAccess, Settings
from stemline.storage import Buckets, TransferCancelled, Upload
from stemline.testing.s3_proxy import Fault, FaultyProxy, once
from stemline.wire.errors import code_of
from tests.conftest import S3

pytestmark = pytest.mark.slow

MIB = 1 << 20
JOB = "j" + "0" * 32


@pytest.fixture
def proxy(s3: S3) -> Iterator[FaultyProxy]:
    """A proxy before the real server, without faults until a test plans some."""
    proxy = FaultyProxy(s3.endpoint_url)
    yield proxy
    proxy.close()


def settings_for(s3: S3, endpoint_url: str, **more: Any) -> Settings:
    access = BucketAccess(endpoint_url=endpoint_url, access_key=s3.access_key, secret_key=s3.secret_key)
    return Settings(buckets={s3.bucket: access}, **{"storage_patience_s": 30.0, **more})


@pytest.fixture
def buckets(s3: S3, proxy: FaultyProxy) -> Buckets:
    """Buckets that connect through the proxy, with a retry budget of 30 s."""
    return Buckets(settings_for(s3, proxy.endpoint_url))


@pytest.fixture
def tenant(s3: S3) -> Tenant:
    return Tenant(s3.bucket, s3.region)


def staged(buckets: Buckets, s3: S3, path: Path, key: str = "out/voice.mp3", token: int = 1) -> Upload:
    return buckets.stems.stage(
        s3.region, s3.bucket, key, path, job_id=JOB, token=token, content_type="audio/mpeg"
    )


def soon(seconds: float = 15.0) -> Callable[[], float]:
    end = time.time() + seconds
    return lambda: end


def content(s3: S3, key: str) -> bytes:
    return bytes(s3.client.get_object(Bucket=s3.bucket, Key=key)["Body"].read())


def keys(s3: S3) -> list[str]:
    return [o["Key"] for o in s3.client.list_objects_v2(Bucket=s3.bucket).get("Contents", [])]


def uploads(s3: S3) -> int:
    return len(s3.client.list_multipart_uploads(Bucket=s3.bucket).get("Uploads", []))


# -- download


def test_a_source_arrives_whole(s3: S3, buckets: Buckets, tenant: Tenant, tmp_path: Path) -> None:
    """The file holds the object's bytes, and progress ends at its size."""
    data = os.urandom(3 * MIB + 17)
    s3.client.put_object(Bucket=s3.bucket, Key="in/söng +&.mp3", Body=data)
    seen: list[tuple[int, int]] = []
    path = tmp_path / "source"
    found = buckets.download(
        tenant, "in/söng +&.mp3", path, max_bytes=10 * MIB, progress=lambda *p: seen.append(p)
    )
    assert (len(data), data, (len(data), len(data))) == (found.size, path.read_bytes(), seen[-1])
    head = buckets.head(tenant.region, tenant.bucket, "in/söng +&.mp3")
    assert head is not None
    assert head.etag == found.etag


def test_a_broken_download_is_resumed(
    s3: S3, proxy: FaultyProxy, buckets: Buckets, tenant: Tenant, tmp_path: Path
) -> None:
    """Three cuts cost three more requests, and no byte is fetched twice."""
    data = os.urandom(8 * MIB)
    s3.client.put_object(Bucket=s3.bucket, Key="in", Body=data)
    proxy.plan = once(Fault(cut_after=2 * MIB), method="GET", times=3)
    path = tmp_path / "source"
    assert len(data) == buckets.download(tenant, "in", path, max_bytes=10 * MIB).size
    assert data == path.read_bytes()
    assert 4 == len(proxy.seen)


def test_a_source_replaced_during_its_download_is_downloaded_again(
    s3: S3, proxy: FaultyProxy, buckets: Buckets, tenant: Tenant, tmp_path: Path
) -> None:
    """Bytes of two versions are never mixed: the resumed request names the ETag."""
    old, new = b"o" * 3 * MIB, b"n" * 2 * MIB
    s3.client.put_object(Bucket=s3.bucket, Key="in", Body=old)
    cut = once(Fault(cut_after=MIB), method="GET")

    def replace_after_cut(method: str, path: str) -> Fault | None:
        fault = cut(method, path)
        if fault is None and len(proxy.seen) == 2:
            s3.client.put_object(Bucket=s3.bucket, Key="in", Body=new)
        return fault

    proxy.plan = replace_after_cut
    path = tmp_path / "source"
    buckets.download(tenant, "in", path, max_bytes=10 * MIB)
    assert new == path.read_bytes()


@pytest.mark.parametrize(
    "fault", [Fault(status=500), Fault(status=503, code="SlowDown"), Fault(status=429), Fault(drop=True)]
)
def test_transient_errors_are_retried(
    s3: S3, proxy: FaultyProxy, buckets: Buckets, tenant: Tenant, tmp_path: Path, fault: Fault
) -> None:
    """A request that fails twice with 500, 503, 429 or a closed connection is sent a third time."""
    s3.client.put_object(Bucket=s3.bucket, Key="in", Body=b"music")
    proxy.plan = once(fault, method="GET", times=2)
    buckets.download(tenant, "in", tmp_path / "source", max_bytes=MIB)
    assert b"music" == (tmp_path / "source").read_bytes()


def test_an_unavailable_store_is_a_retryable_error(
    s3: S3, proxy: FaultyProxy, tenant: Tenant, tmp_path: Path
) -> None:
    """After the retry budget the error is marked as retryable, and no file is left."""
    buckets = Buckets(settings_for(s3, proxy.endpoint_url, storage_patience_s=0.5))
    proxy.plan = lambda method, path: Fault(status=500)
    with pytest.raises(SourceUnavailable) as caught:
        buckets.download(tenant, "in", tmp_path / "source", max_bytes=MIB)
    assert ("ResourceDownloadFailed", True) == (code_of(caught.value), caught.value.retryable)
    assert not (tmp_path / "source").exists()


def test_a_refused_connection_is_a_retryable_error(s3: S3, tenant: Tenant, tmp_path: Path) -> None:
    """A refused connection means an unavailable store, not a missing object."""
    buckets = Buckets(settings_for(s3, "http://127.0.0.1:1", storage_patience_s=0.3))
    with pytest.raises(SourceUnavailable):
        buckets.download(tenant, "in", tmp_path / "source", max_bytes=MIB)


def test_final_errors_have_their_own_codes(s3: S3, proxy: FaultyProxy, tmp_path: Path) -> None:
    """Missing, forbidden, too large and unknown bucket each fail at once with the wire's code."""
    s3.client.put_object(Bucket=s3.bucket, Key="in", Body=b"x" * 100)
    good = settings_for(s3, proxy.endpoint_url)
    wrong = good.storage.buckets[s3.bucket].model_copy(update={"access_key": "unknown"})
    here, nowhere = Tenant(s3.bucket, s3.region), Tenant("absent-1250000000", s3.region)
    both = Settings(buckets={"*": good.storage.buckets[s3.bucket]})
    cases: list[tuple[Settings, Tenant, str, type[Exception]]] = [
        (good, here, "none", SourceNotFound),
        (both, nowhere, "none", SourceNotFound),
        (Settings(buckets={"*": wrong}), here, "in", SourceEntryRefused),
        (Settings(buckets={}), here, "in", SourceBucketUnknown),
        (good, here, "in", SourceTooLarge),
        (good, Tenant(s3.bucket, "x@127.0.0.1:1/#"), "in", SourceBucketUnknown),
        (
            Settings(buckets={"*": good.storage.buckets[s3.bucket]}),
            Tenant("Not A Bucket", s3.region),
            "in",
            SourceAccessDenied,
        ),
    ]
    for settings, tenant, key, error in cases:
        with pytest.raises(error) as caught:
            Buckets(settings).download(tenant, key, tmp_path / "source", max_bytes=99)
        assert error is caught.type
        assert "secret" not in str(caught.value)


def test_a_download_can_be_cancelled(
    s3: S3, proxy: FaultyProxy, buckets: Buckets, tenant: Tenant, tmp_path: Path
) -> None:
    """A cancel also ends the wait for a store that is down."""
    proxy.plan = lambda method, path: Fault(status=503)
    begun = time.monotonic()
    with pytest.raises(TransferCancelled):
        buckets.download(
            tenant, "in", tmp_path / "s", max_bytes=MIB, cancelled=lambda: time.monotonic() > begun + 0.7
        )
    assert time.monotonic() - begun < 60


# -- publication


def test_a_staged_stem_is_invisible(s3: S3, buckets: Buckets, tmp_path: Path) -> None:
    """It appears when completed: whole, with its type, job and token; its MD5 is that of the bytes."""
    path = tmp_path / "stem"
    path.write_bytes(b"la la la")
    upload = staged(buckets, s3, path, token=7)
    assert [] == keys(s3)
    buckets.stems.complete(upload, expires_at=soon())
    found = s3.client.head_object(Bucket=s3.bucket, Key="out/voice.mp3")
    assert b"la la la" == content(s3, "out/voice.mp3")
    assert {"stemline-job": JOB, "stemline-token": "7"} == found["Metadata"]
    assert "audio/mpeg" == found["ContentType"]
    assert (8, hashlib.md5(b"la la la").hexdigest()) == (upload.size, upload.md5)


def test_a_large_stem_goes_in_parts_and_a_part_may_fail(
    s3: S3, proxy: FaultyProxy, buckets: Buckets, tmp_path: Path
) -> None:
    """Only the part whose response was lost is sent again."""
    data = os.urandom(40 * MIB)
    path = tmp_path / "stem"
    path.write_bytes(data)
    proxy.plan = once(Fault(lose_answer=True), method="PUT", having="partNumber=2")
    upload = staged(buckets, s3, path)
    buckets.stems.complete(upload, expires_at=soon())
    assert data == content(s3, upload.key)
    assert 4 == sum(method == "PUT" for method, _ in proxy.seen)


def test_a_part_that_changed_on_its_way_is_sent_again(
    s3: S3, proxy: FaultyProxy, buckets: Buckets, tmp_path: Path
) -> None:
    """The store compares each part with its MD5, so that a stem arrives as it was."""
    path = tmp_path / "stem"
    path.write_bytes(b"la la la")
    proxy.plan = once(Fault(spoil=True), method="PUT", having="partNumber=1")
    upload = staged(buckets, s3, path)
    buckets.stems.complete(upload, expires_at=soon())
    assert b"la la la" == content(s3, upload.key)
    assert 2 == sum(method == "PUT" for method, _ in proxy.seen)


def test_uploads_survive_as_json(s3: S3, buckets: Buckets, tmp_path: Path) -> None:
    """The registered JSON of an upload is enough to abort it."""
    path = tmp_path / "stem"
    path.write_bytes(b"x")
    text = json.dumps(staged(buckets, s3, path).to_json())
    assert 1 == uploads(s3)
    buckets.stems.abort(Upload.from_json(json.loads(text)))
    assert 0 == uploads(s3)


def test_an_upload_is_known_before_a_byte_is_sent(
    s3: S3, proxy: FaultyProxy, buckets: Buckets, tmp_path: Path
) -> None:
    """Registration comes between opening and sending; where it fails, the upload is aborted."""
    path = tmp_path / "stem"
    path.write_bytes(b"x")

    def refuse(upload: Upload) -> None:
        assert upload.upload_id
        assert not any(method == "PUT" for method, _ in proxy.seen)
        raise LeaseLost

    with pytest.raises(LeaseLost):
        buckets.stems.stage(
            s3.region, s3.bucket, "k", path, job_id=JOB, token=1, content_type="audio/wav", opened=refuse
        )
    assert 0 == uploads(s3)


def test_nothing_is_completed_after_the_lease(
    s3: S3, proxy: FaultyProxy, buckets: Buckets, tmp_path: Path
) -> None:
    """With a lease that has expired, or expires within a second, no request is sent."""
    path = tmp_path / "stem"
    path.write_bytes(b"x")
    upload = staged(buckets, s3, path)
    before = len(proxy.seen)
    for left in (-5.0, 0.0):
        with pytest.raises(LeaseLost):
            buckets.stems.complete(upload, expires_at=soon(left))
    assert before == len(proxy.seen)
    assert [] == keys(s3)


def test_the_store_itself_refuses_a_late_completion(
    s3: S3, proxy: FaultyProxy, buckets: Buckets, tmp_path: Path
) -> None:
    """A request that arrives after the lease has expired is refused by the store."""
    path = tmp_path / "stem"
    path.write_bytes(b"x")
    upload = staged(buckets, s3, path)
    proxy.plan = once(Fault(delay_s=4.0), method="POST", having="uploadId")
    with pytest.raises(LeaseLost):
        buckets.stems.complete(upload, expires_at=soon(2.5))
    assert [] == keys(s3)


def test_a_completion_after_the_abort_of_the_next_attempt_is_refused(
    s3: S3, buckets: Buckets, tmp_path: Path
) -> None:
    """Even inside its lease by its own clock, a superseded attempt publishes nothing."""
    path = tmp_path / "stem"
    path.write_bytes(b"old")
    stale = staged(buckets, s3, path, token=1)
    path.write_bytes(b"new")
    buckets.stems.abort(stale)
    fresh = staged(buckets, s3, path, token=2)
    with pytest.raises(LeaseLost):
        buckets.stems.complete(stale, expires_at=soon())
    buckets.stems.complete(fresh, expires_at=soon())
    assert b"new" == content(s3, fresh.key)


def test_a_stopped_process_cannot_publish_when_it_continues(s3: S3, buckets: Buckets, tmp_path: Path) -> None:
    """A process stopped past its lease, at any of 6 moments, publishes nothing once its uploads are aborted.

    The race: the process has checked its lease and is stopped before (or while) it sends the request.
    """
    program = tmp_path / "publish.py"
    program.write_text(
        textwrap.dedent(
            """
            import json, sys, time
            from stemline.jobs.errors import LeaseLost
            from stemline.runtime.settings import BucketAccess, Settings
            from stemline.storage import Buckets, Upload
            task = json.loads(sys.argv[1])
            buckets = Buckets(Settings(buckets={"*": BucketAccess(**task["access"])}))
            buckets.head(task["upload"]["region"], task["upload"]["bucket"], "warm")
            print("ready", flush=True)
            end = float(sys.stdin.readline())
            try:
                buckets.stems.complete(Upload.from_json(task["upload"]), expires_at=lambda: end)
                print("published", flush=True)
            except LeaseLost:
                print("lost", flush=True)
            """
        )
    )
    access = {"endpoint_url": s3.endpoint_url, "access_key": s3.access_key, "secret_key": s3.secret_key}
    path = tmp_path / "stem"
    path.write_bytes(b"x")
    running = []
    for number in range(4):
        upload = staged(buckets, s3, path, key=f"out/{number}")
        task = json.dumps({"access": access, "upload": upload.to_json()})
        process = subprocess.Popen(
            [sys.executable, str(program), task],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        )
        running.append((process, upload))
    stopped = []
    for number, (process, upload) in enumerate(running):
        assert process.stdin is not None
        assert process.stdout is not None
        assert "ready\n" == process.stdout.readline()
        lease_end = time.time() + 2.0
        process.stdin.write(f"{lease_end}\n")
        process.stdin.flush()
        time.sleep(number * 0.001)
        process.send_signal(signal.SIGSTOP)
        stopped.append((process, upload, lease_end))
    time.sleep(max(0.0, max(end for *_, end in stopped) + 1.1 - time.time()))
    # Only now: the store may still have been at work on a request that was sent in time.
    published = set(keys(s3))
    # As whoever reclaims the job does: a request whose head was sent in time may still wait for its body.
    for _, upload, _ in stopped:
        buckets.stems.abort(upload)
    for process, upload, _ in stopped:
        process.send_signal(signal.SIGCONT)
        said = process.communicate(timeout=180)[0]
        assert (upload.key in published) == (upload.key in keys(s3)), said
    assert any(upload.key not in published for _, upload, _ in stopped), (
        "no process was stopped in time: the test proved nothing"
    )


@pytest.mark.parametrize("fault", [Fault(status=500), Fault(lose_answer=True), Fault(drop=True)])
def test_completion_is_repeated_when_its_answer_is_lost(
    s3: S3, proxy: FaultyProxy, buckets: Buckets, tmp_path: Path, fault: Fault
) -> None:
    """Whether the store carried out the lost request or not, the stem exists and the call succeeds."""
    path = tmp_path / "stem"
    path.write_bytes(b"x")
    upload = staged(buckets, s3, path)
    proxy.plan = once(fault, method="POST", having="uploadId")
    buckets.stems.complete(upload, expires_at=soon())
    assert b"x" == content(s3, upload.key)


def test_a_store_that_forgets_completed_uploads_is_supported(
    s3: S3, proxy: FaultyProxy, buckets: Buckets, tmp_path: Path
) -> None:
    """NoSuchUpload after a lost answer is success where the object is this attempt's own."""
    path = tmp_path / "stem"
    path.write_bytes(b"x")
    upload = staged(buckets, s3, path)
    buckets.stems.complete(upload, expires_at=soon())
    proxy.plan = once(Fault(status=404, code="NoSuchUpload"), method="POST", having="uploadId")
    buckets.stems.complete(upload, expires_at=soon())
    proxy.plan = once(Fault(status=404, code="NoSuchUpload"), method="POST", having="uploadId")
    with pytest.raises(LeaseLost):
        buckets.stems.complete(dataclasses.replace(upload, token=upload.token + 1), expires_at=soon())


def test_an_error_inside_a_200_response_is_retried(
    s3: S3, proxy: FaultyProxy, buckets: Buckets, tmp_path: Path
) -> None:
    """Complete may answer 200 with InternalError in the body; that is retried."""
    path = tmp_path / "stem"
    path.write_bytes(b"x")
    upload = staged(buckets, s3, path)
    proxy.plan = once(Fault(status=200), method="POST", having="uploadId")
    buckets.stems.complete(upload, expires_at=soon())
    assert b"x" == content(s3, upload.key)


def test_target_errors_have_the_wire_code(s3: S3, proxy: FaultyProxy, tmp_path: Path) -> None:
    """A destination that denies has one code, whatever the reason; one that is down is retryable."""
    path = tmp_path / "stem"
    path.write_bytes(b"x")
    good = settings_for(s3, proxy.endpoint_url, storage_patience_s=0.3)
    wrong = good.storage.buckets[s3.bucket].model_copy(update={"access_key": "unknown"})
    absent = dataclasses.replace(s3, bucket="absent-1250000000")
    for settings, where in (
        (Settings(buckets={"*": wrong}), s3),
        (Settings(buckets={"*": good.storage.buckets[s3.bucket]}), absent),
        (Settings(buckets={}), s3),
    ):
        with pytest.raises(TargetDenied) as caught:
            staged(Buckets(settings), where, path)
        assert "WriteTargetBucketDenied" == code_of(caught.value)
    proxy.plan = lambda method, path: Fault(status=500)
    with pytest.raises(TargetUnavailable):
        staged(Buckets(good), s3, path)


def test_a_job_deletes_only_its_own_objects(s3: S3, buckets: Buckets, tmp_path: Path) -> None:
    """Objects of others, of another job, and of a later attempt of the same job stay."""
    path = tmp_path / "stem"
    path.write_bytes(b"x")
    s3.client.put_object(Bucket=s3.bucket, Key="foreign", Body=b"y")
    buckets.stems.complete(staged(buckets, s3, path, key="mine", token=3), expires_at=soon())

    def remove(key: str, job_id: str, token: int) -> bool:
        return buckets.stems.delete_own(
            s3.region, s3.bucket, key, job_id=job_id, token=token, expires_at=soon()
        )

    assert not remove("foreign", JOB, 9)
    assert not remove("mine", "j" + "1" * 32, 9)
    assert not remove("mine", JOB, 2)
    assert not remove("nothing", JOB, 9)
    assert ["foreign", "mine"] == keys(s3)
    with pytest.raises(LeaseLost):
        buckets.stems.delete_own(s3.region, s3.bucket, "mine", job_id=JOB, token=3, expires_at=soon(-1))
    assert remove("mine", JOB, 3)
    assert ["foreign"] == keys(s3)


def test_an_object_replaced_during_the_delete_stays(
    s3: S3, proxy: FaultyProxy, buckets: Buckets, tmp_path: Path
) -> None:
    """The race: another job writes the key between the read of its metadata and the delete."""
    path = tmp_path / "stem"
    path.write_bytes(b"x")
    buckets.stems.complete(staged(buckets, s3, path, key="mine"), expires_at=soon())

    def replaced(method: str, _: str) -> Fault | None:
        if method == "DELETE":
            s3.client.put_object(Bucket=s3.bucket, Key="mine", Body=b"another job's")
        return None

    proxy.plan = replaced
    assert not buckets.stems.delete_own(s3.region, s3.bucket, "mine", job_id=JOB, token=1, expires_at=soon())
    assert b"another job's" == content(s3, "mine")


def test_configuration_by_bucket_file_and_star(s3: S3, tmp_path: Path) -> None:
    """A file adds buckets, settings override it, ``*`` matches all others; a bucket may have another name."""
    access = {"endpoint_url": s3.endpoint_url, "access_key": s3.access_key, "secret_key": s3.secret_key}
    file = tmp_path / "buckets.json"
    file.write_text(
        json.dumps(
            {"alias-1250000000": {**access, "name": s3.bucket}, "*": {"access_key": "no", "secret_key": "no"}}
        )
    )
    buckets = Buckets(Settings(buckets_file=file, buckets={"*": BucketAccess(**access)}))
    s3.client.put_object(Bucket=s3.bucket, Key="in", Body=b"x")
    for name in ("alias-1250000000", s3.bucket):
        found = buckets.head(s3.region, name, "in")
        assert found is not None
        assert 1 == found.size
    assert buckets.head(s3.region, s3.bucket, "none") is None
    with urllib.request.urlopen(buckets.presign_get(s3.region, "alias-1250000000", "in")) as answer:
        assert b"x" == answer.read()


def test_threads_share_one_client(s3: S3, buckets: Buckets, tmp_path: Path) -> None:
    """Eight threads publish at once, and every key holds its own bytes."""
    failures: list[Exception] = []

    def publish(number: int) -> None:
        try:
            path = tmp_path / str(number)
            path.write_bytes(str(number).encode())
            buckets.stems.complete(staged(buckets, s3, path, key=f"out/{number}"), expires_at=soon())
        except Exception as error:  # noqa: BLE001 - asserted below
            failures.append(error)

    threads = [threading.Thread(target=publish, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == failures
    assert [str(n).encode() for n in range(8)] == [content(s3, f"out/{n}") for n in range(8)]
