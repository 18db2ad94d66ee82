"""Whole jobs against a store that answers 5xx for one object alone, as long as it is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from stemline.jobs.job import Job
from stemline.jobs.states import State
from stemline.runtime.settings import BucketAccess, Settings
from stemline.runtime.telemetry import Tracer
from stemline.separation.media import EncodedStem, OutputSpec
from stemline.separation.pipeline import Report
from stemline.storage import Buckets
from stemline.testing.in_memory_store import InMemoryStore
from stemline.testing.s3_proxy import Fault, FaultyProxy, Plan
from stemline.testing.samples import job_spec
from stemline.workers import separate, stages
from stemline.workers.context import SeparationContext
from stemline.workers.metrics import WorkerMetrics
from stemline.workers.shutdown import Shutdown
from tests.conftest import S3
from tests.support.stems import NO_MEDIA_INFO


@pytest.fixture
def proxy(s3: S3) -> Iterator[FaultyProxy]:
    """A proxy before the real server, without faults until a test plans some."""
    proxy = FaultyProxy(s3.endpoint_url)
    yield proxy
    proxy.close()


def _separate(_engine: Any, _source: Path, outputs: Mapping[str, OutputSpec], **_: Any) -> Report:
    stems = {}
    for name, spec in outputs.items():
        spec.path.write_bytes(name.encode())
        stems[name] = EncodedStem(spec.path, len(name), NO_MEDIA_INFO)
    return Report(1.0, 44_100, {"total": 1.0}, "stub", stems)


@pytest.fixture
def context(s3: S3, proxy: FaultyProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SeparationContext:
    """A worker on the real bucket behind the proxy, with a stub for the networks; it puts nothing off."""
    monkeypatch.setattr(stages, "separate_file", _separate)
    access = BucketAccess(endpoint_url=proxy.endpoint_url, access_key=s3.access_key, secret_key=s3.secret_key)
    settings = Settings(
        buckets={s3.bucket: access}, storage_patience_s=0.3, retry_delay_s=0, scratch_dir=str(tmp_path)
    )
    return SeparationContext(
        settings=settings,
        store=InMemoryStore(),
        buckets=Buckets(settings),
        notifier=MagicMock(),
        tracer=Tracer(),
        metrics=WorkerMetrics(),
        events=MagicMock(),
        shutdown=Shutdown(),
        engine=lambda *_: MagicMock(device="stub"),
        decoder=MagicMock(),
        device_failed=MagicMock(),
    )


def _submit(context: SeparationContext, s3: S3, source: str, target: str) -> Job:
    spec = job_spec()
    tenant = replace(spec.tenant, bucket=s3.bucket, region=s3.region)
    output = replace(
        spec.output, region=s3.region, bucket=s3.bucket, object=f"{target}/bg.mp3", au_object="out/voice.mp3"
    )
    named = replace(spec, tenant=tenant, input_object=source, output=output, queue_id="")
    (job,) = context.store.jobs.create([named])
    return job


def _run_all(context: SeparationContext) -> None:
    """Make attempts until no job is waiting."""
    while separate.separate(context, "worker", wake_up_level=1) is not None:
        pass


def _failing(method: str, having: str) -> Plan:
    def plan(asked: str, path: str) -> Fault | None:
        return Fault(status=500) if asked == method and having in path else None

    return plan


@pytest.mark.parametrize(
    ("method", "source", "target", "code"),
    [
        ("POST", "in/good.wav", "bad", "WriteTargetObjectFailed"),  # the upload cannot be opened
        ("PUT", "in/good.wav", "bad", "WriteTargetObjectFailed"),  # or nothing can be sent to it
        ("GET", "in/bad.wav", "out", "ResourceDownloadFailed"),
    ],
)
def test_one_object_that_always_fails_ends_its_job_alone(
    s3: S3, proxy: FaultyProxy, context: SeparationContext, method: str, source: str, target: str, code: str
) -> None:
    """A lasting 5xx for one object fails its job after three attempts; other jobs of the bucket succeed."""
    for key in ("in/good.wav", "in/bad.wav"):
        s3.client.put_object(Bucket=s3.bucket, Key=key, Body=b"sound")
    proxy.plan = _failing(method, "bad")
    bad = _submit(context, s3, source, target)
    good = _submit(context, s3, "in/good.wav", "good")

    _run_all(context)

    ended = context.store.jobs.find(bad.id)
    assert (State.FAILED, code, 3) == (ended.state, ended.code, ended.attempt)
    assert State.SUCCESS == context.store.jobs.find(good.id).state
    left = {each["Key"] for each in s3.client.list_objects_v2(Bucket=s3.bucket)["Contents"]}
    assert {"in/good.wav", "in/bad.wav", "good/bg.mp3", "out/voice.mp3"} == left


def test_an_outage_costs_no_attempt(s3: S3, proxy: FaultyProxy, context: SeparationContext) -> None:
    """While the whole bucket answers 5xx, a job waits without losing an attempt; then it succeeds."""
    s3.client.put_object(Bucket=s3.bucket, Key="in/good.wav", Body=b"sound")
    job = _submit(context, s3, "in/good.wav", "out")
    proxy.plan = lambda *_: Fault(status=500)
    for _ in range(4):
        separate.separate(context, "worker", wake_up_level=1)
    waiting = context.store.jobs.find(job.id)
    assert (State.SUBMITTED, 0) == (waiting.state, waiting.attempt)

    proxy.plan = lambda *_: None
    _run_all(context)

    assert State.SUCCESS == context.store.jobs.find(job.id).state
