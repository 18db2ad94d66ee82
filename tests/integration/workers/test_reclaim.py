"""What a sweep removes from a real bucket after a worker died at each point of publishing."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stemline.jobs.errors import LeaseLost
from stemline.jobs.job import Output
from stemline.jobs.states import State
from stemline.jobs.store import StoreOptions
from stemline.jobs.tenant import Tenant
from stemline.runtime.settings import BucketAccess, Settings
from stemline.storage import Buckets, Upload
from stemline.testing import FixedClock
from stemline.testing.in_memory_store import InMemoryStore
from stemline.testing.s3_proxy import Fault, FaultyProxy
from stemline.testing.samples import job_spec
from stemline.workers.metrics import WorkerMetrics
from stemline.workers.sweep import Sweeper
from tests.conftest import S3
from tests.unit.workers.test_sweep import Broker, Quiet

KEYS = ("out/voice.mp3", "out/bg.mp3")


@pytest.mark.parametrize("completed", [0, 1, 2])
def test_a_dead_attempt_leaves_nothing_and_can_add_nothing(s3: S3, tmp_path: Path, completed: int) -> None:
    """Its open uploads and visible stems go, those of others stay, and its late requests find nothing."""
    access = BucketAccess(endpoint_url=s3.endpoint_url, access_key=s3.access_key, secret_key=s3.secret_key)
    buckets, clock = Buckets(Settings(buckets={"*": access})), FixedClock()
    store = InMemoryStore(StoreOptions(), clock=clock)
    tenant = Tenant(s3.bucket, s3.region)
    output = Output(s3.region, s3.bucket, object=KEYS[1], au_object=KEYS[0])
    store.jobs.create([replace(job_spec(), tenant=tenant, queue_id="", output=output)])
    job = store.attempts.claim("w", (2, 1, 0))
    assert job is not None
    (stem := tmp_path / "stem").write_bytes(b"la la")
    uploads: list[Upload] = []

    def register(upload: Upload) -> None:
        uploads.append(upload)
        store.attempts.register_uploads(job.id, job.token, [each.to_json() for each in uploads])

    for key in KEYS:
        names: Any = {"job_id": job.id, "token": job.token, "content_type": "audio/mpeg"}
        uploads[-1:] = [buckets.stems.stage(s3.region, s3.bucket, key, stem, opened=register, **names)]
    for upload in uploads[:completed]:
        buckets.stems.complete(upload, expires_at=lambda: time.time() + 120)
    s3.client.put_object(Bucket=s3.bucket, Key="out/foreign.mp3", Body=b"another's")
    clock.advance(60)
    broker: Any = Broker()
    quiet: Any = Quiet()
    sweeper = Sweeper(
        Settings(), store, buckets, app=broker, notifier=broker, metrics=WorkerMetrics(), events=quiet
    )
    sweeper.sweep()
    left = [each["Key"] for each in s3.client.list_objects_v2(Bucket=s3.bucket)["Contents"]]
    assert ["out/foreign.mp3"] == left
    assert [] == s3.client.list_multipart_uploads(Bucket=s3.bucket).get("Uploads", [])
    found = store.jobs.find(job.id)
    assert found is not None
    assert (State.SUBMITTED, 1) == (found.state, found.attempt)
    for upload in uploads:  # the dead worker comes back within what it takes for its lease
        with pytest.raises(LeaseLost):
            buckets.stems.complete(upload, expires_at=lambda: time.time() + 120)
    again = [each["Key"] for each in s3.client.list_objects_v2(Bucket=s3.bucket)["Contents"]]
    assert left == again


@pytest.mark.parametrize("fault", [Fault(status=500), Fault(status=403)])
def test_a_bucket_that_does_not_let_go_is_cleaned_up_later(s3: S3, tmp_path: Path, fault: Fault) -> None:
    """A bucket that refuses every DELETE keeps no job running; a later sweep removes what is left."""
    proxy = FaultyProxy(s3.endpoint_url)
    proxy.plan = lambda method, _: fault if method == "DELETE" else None
    access = BucketAccess(endpoint_url=proxy.endpoint_url, access_key=s3.access_key, secret_key=s3.secret_key)
    buckets, clock = Buckets(Settings(buckets={"*": access})), FixedClock()
    store = InMemoryStore(StoreOptions(), clock=clock)
    tenant, output = Tenant(s3.bucket, s3.region), Output(s3.region, s3.bucket, au_object=KEYS[0])
    store.jobs.create([replace(job_spec(), tenant=tenant, queue_id="", output=output)])
    job = store.attempts.claim("w", (2, 1, 0))
    assert job is not None
    (stem := tmp_path / "stem").write_bytes(b"la la")
    names: Any = {"job_id": job.id, "token": job.token, "content_type": "audio/mpeg"}
    upload = buckets.stems.stage(s3.region, s3.bucket, KEYS[0], stem, **names)
    buckets.stems.complete(upload, expires_at=lambda: time.time() + 120)
    store.attempts.register_uploads(job.id, job.token, [upload.to_json()])
    store.jobs.cancel(tenant, [job.id])
    clock.advance(60)
    broker: Any = Broker()
    quiet: Any = Quiet()
    sweeper = Sweeper(
        Settings(), store, buckets, app=broker, notifier=broker, metrics=WorkerMetrics(), events=quiet
    )
    sweeper.sweep()
    ended = store.jobs.find(job.id)
    assert ended is not None
    assert State.CANCEL == ended.state
    assert 1 == s3.client.list_objects_v2(Bucket=s3.bucket)["KeyCount"]
    proxy.plan = lambda *_: None
    clock.advance(60)
    sweeper.sweep()
    assert 0 == s3.client.list_objects_v2(Bucket=s3.bucket)["KeyCount"]
    assert 0 == store.statistics.read().leftovers
    proxy.close()
