"""Equal jobs on a real bucket: their stems are separated once and copied."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from stemline.jobs.job import Job
from stemline.jobs.separation import AudioConfig, AudioMode, VoiceSeparate
from stemline.jobs.states import State
from stemline.runtime.settings import BucketAccess, Settings
from stemline.runtime.telemetry import Tracer
from stemline.separation.media import EncodedStem, OutputSpec
from stemline.separation.pipeline import Report
from stemline.storage import Buckets
from stemline.testing.in_memory_store import InMemoryStore
from stemline.testing.s3_proxy import Fault, FaultyProxy
from stemline.testing.samples import job_spec
from stemline.workers import separate, stages
from stemline.workers.context import SeparationContext
from stemline.workers.metrics import WorkerMetrics
from stemline.workers.shutdown import Shutdown
from tests.conftest import S3
from tests.support.stems import NO_MEDIA_INFO

pytestmark = pytest.mark.slow


class Bench:
    """A worker on a real bucket with a stub for the networks, which counts what it separates."""

    def __init__(self, s3: S3, proxy: FaultyProxy, folder: Path) -> None:
        self.s3, self.proxy, self.separated = s3, proxy, 0
        self.before_end: Any = None
        access = BucketAccess(
            endpoint_url=proxy.endpoint_url, access_key=s3.access_key, secret_key=s3.secret_key
        )
        settings = Settings(
            buckets={"*": access}, storage_patience_s=2, retry_delay_s=0, scratch_dir=str(folder)
        )
        self.context = SeparationContext(
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
        self.put(b"sound")

    def put(self, content: bytes) -> None:
        """Write the source."""
        self.s3.client.put_object(Bucket=self.s3.bucket, Key="in/a.wav", Body=content)

    def separate(self, _engine: Any, source: Path, outputs: Mapping[str, OutputSpec], **_: Any) -> Report:
        self.separated += 1
        stems = {}
        for name, spec in outputs.items():
            content = name.encode() + source.read_bytes()
            spec.path.write_bytes(content)
            stems[name] = EncodedStem(spec.path, len(content), NO_MEDIA_INFO)
        if self.before_end:
            self.before_end()
        return Report(1.0, 44_100, {"total": 1.0}, "stub", stems)

    def submit(self, **changes: Any) -> Job:
        spec = job_spec()
        tenant = replace(spec.tenant, bucket=self.s3.bucket, region=self.s3.region)
        names = {"object": "out/${jobid}/bg.mp3", "au_object": "out/${jobid}/voice.mp3"}
        output = replace(spec.output, region=self.s3.region, bucket=self.s3.bucket, **names)
        asked = {
            "tenant": tenant,
            "input_object": "in/a.wav",
            "output": output,
            "queue_id": "",
            "reuse": True,
        }
        (job,) = self.context.store.jobs.create([replace(spec, **{**asked, **changes})])
        return job

    def work(self) -> None:
        """Make attempts until no job is waiting."""
        while separate.separate(self.context, "worker", wake_up_level=1) is not None:
            pass

    def done(self, job: Job) -> Job:
        """A job that was successful, with its stems in the bucket."""
        self.work()
        found = self.context.store.jobs.find(job.id)
        assert found is not None
        assert State.SUCCESS is found.state, found.message
        for file in found.result.files:
            stored = self.s3.client.get_object(Bucket=self.s3.bucket, Key=file.key)
            body = stored["Body"].read()
            assert (file.md5, file.size) == (hashlib.md5(body).hexdigest(), len(body))
            assert {"stemline-job": job.id, "stemline-token": str(found.token)} == stored["Metadata"]
        return found


@pytest.fixture
def bench(s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    proxy = FaultyProxy(s3.endpoint_url)
    made = Bench(s3, proxy, tmp_path)
    monkeypatch.setattr(stages, "separate_file", made.separate)
    yield made
    proxy.close()


def test_an_equal_job_gets_copies(bench: Bench) -> None:
    """The second of two equal jobs has stems of its own, with what is known of them, and names the first."""
    first = bench.done(bench.submit())
    second = bench.done(bench.submit())
    assert (1, "", first.id) == (bench.separated, first.result.reused, second.result.reused)
    assert second.result.files[0].key == f"out/{second.id}/voice.mp3"
    assert first.result.media_info == second.result.media_info
    assert 2 == len({bench.done(bench.submit()).result.reused, first.id})
    assert 1 == bench.separated


CHANGES: dict[str, dict[str, Any]] = {
    "not asked for": {"reuse": False},
    "codec": {"separate": VoiceSeparate(AudioMode.AUDIO_AND_BACKGROUND, AudioConfig(codec="wav"))},
    "bitrate": {"separate": VoiceSeparate(AudioMode.AUDIO_AND_BACKGROUND, AudioConfig("mp3", bitrate=64))},
    "mode": {"separate": VoiceSeparate(AudioMode.IS_AUDIO, AudioConfig("mp3"))},
    "track": {"audio_track": "1"},
}


def test_another_job_is_separated(bench: Bench) -> None:
    """A job that does not ask for it, or asks for anything else, is separated."""
    bench.done(bench.submit())
    reused = {name: bench.done(bench.submit(**changes)).result.reused for name, changes in CHANGES.items()}
    assert dict.fromkeys(CHANGES, "") == reused
    assert 1 + len(CHANGES) == bench.separated


def test_another_source_is_separated(bench: Bench) -> None:
    """A source that was replaced under its key, or equals another under its own, is separated."""
    bench.done(bench.submit())
    bench.put(b"other sound")
    assert "" == bench.done(bench.submit()).result.reused
    assert 2 == bench.separated


def test_a_source_that_changes_meanwhile_is_not_reused(bench: Bench) -> None:
    """If the source was replaced during the separation, its stems are not copied."""
    bench.before_end = lambda: bench.put(b"other sound")
    bench.done(bench.submit())
    bench.before_end = None
    assert "" == bench.done(bench.submit()).result.reused
    assert 2 == bench.separated


def test_a_source_that_is_another_one_for_a_moment_is_not_reused(bench: Bench) -> None:
    """Stems of what was there during the download alone are not those of what was there around it."""
    sound = bench.s3.client.get_object(Bucket=bench.s3.bucket, Key="in/a.wav")["Body"].read()

    def swap(method: str, path: str) -> Fault | None:
        if method == "GET" and "in/a.wav" in path:
            bench.put(b"other sound")
        return None

    bench.proxy.plan, bench.before_end = swap, lambda: bench.put(sound)
    bench.done(bench.submit())
    bench.proxy.plan, bench.before_end = lambda *_: None, None
    assert "" == bench.done(bench.submit()).result.reused
    assert 2 == bench.separated


@pytest.mark.parametrize("loss", ["deleted", "replaced", "other size"])
def test_lost_stems_are_separated_again(bench: Bench, loss: str) -> None:
    """Where a stem is not what the record says, the job is separated, and later ones copy its stems."""
    first = bench.done(bench.submit())
    key = first.result.files[1].key
    if loss == "deleted":
        bench.s3.client.delete_object(Bucket=bench.s3.bucket, Key=key)
    else:
        body = b"x" * (first.result.files[1].size + (loss == "other size"))
        owner = {} if loss == "replaced" else {"stemline-job": first.id}
        bench.s3.client.put_object(Bucket=bench.s3.bucket, Key=key, Body=body, Metadata=owner)
    second = bench.done(bench.submit())
    assert ("", 2) == (second.result.reused, bench.separated)
    assert second.id == bench.done(bench.submit()).result.reused


def test_a_store_that_cannot_copy_costs_nothing_but_time(bench: Bench) -> None:
    """If the store refuses to copy, the job is separated in the uploads that are open already."""
    bench.done(bench.submit())
    bench.proxy.plan = lambda method, path: (
        Fault(status=501) if method == "PUT" and "partNumber=1" in path and bench.separated == 1 else None
    )
    assert "" == bench.done(bench.submit()).result.reused
    assert 2 == bench.separated


def test_a_cancel_during_the_copy_leaves_nothing(bench: Bench) -> None:
    """A job that is cancelled while its stems are copied ends as Cancel without objects of its own."""
    bench.done(bench.submit())
    job = bench.submit()
    jobs = bench.context.store.jobs

    def cancel(method: str, path: str) -> Fault | None:
        if method == "PUT":
            jobs.cancel(job.spec.tenant, [job.id])
        return None

    bench.proxy.plan = cancel
    bench.work()
    assert State.CANCEL is jobs.find(job.id).state
    listed = bench.s3.client.list_objects_v2(Bucket=bench.s3.bucket, Prefix=f"out/{job.id}/")
    assert not listed.get("Contents")


def test_equal_jobs_that_wait_together_are_separated_once(bench: Bench) -> None:
    """A second worker that claims an equal job meanwhile leaves it waiting; afterwards it gets copies."""
    first, second, third = (bench.submit() for _ in range(3))
    outcomes = []
    bench.before_end = lambda: outcomes.append(
        separate.separate(bench.context, "other worker", wake_up_level=1).outcome
    )
    bench.done(first)
    assert ["released"] == outcomes
    assert first.id == bench.done(second).result.reused
    assert bench.done(third).result.reused in {first.id, second.id}
    assert 1 == bench.separated
