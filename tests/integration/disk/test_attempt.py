"""A disk that is full while a worker fetches a source or writes stems: the job loses time, not its end."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from stemline.jobs.tenant import Tenant
from stemline.runtime.settings import BucketAccess, Settings
from stemline.separation.errors import DiskFull
from stemline.storage import Buckets
from stemline.storage.download import Downloaded
from stemline.workers.outcome import AttemptResult, Outcome
from tests.conftest import S3
from tests.support.attempts import Bench
from tests.support.small_disk import SmallDisk

SOURCE = bytes(300_000)


class Downloading(Bench):
    """An attempt whose source comes from a real bucket to a real disk."""

    def __init__(self, s3: S3, disk: SmallDisk, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
        super().__init__(disk.path, monkeypatch, **changes)
        monkeypatch.setattr(shutil, "disk_usage", DISK_USAGE)
        access = BucketAccess(
            endpoint_url=s3.endpoint_url, access_key=s3.access_key, secret_key=s3.secret_key
        )
        self.real = Buckets(Settings(buckets={s3.bucket: access}))
        self.says_size = True
        self.received: Callable[[], object] = lambda: None
        self.buckets.results["download"] = self._download
        spec = replace(self.job.spec, tenant=Tenant(s3.bucket, s3.region), input_object="source")
        self.job = replace(self.job, spec=spec)

    def _download(self, *given: Any, progress: Any, **options: Any) -> Downloaded:
        def received(*counts: int) -> None:
            if self.says_size:
                progress(*counts)
            self.received()

        return self.real.download(*given, progress=received, **options)


DISK_USAGE = shutil.disk_usage


def left(disk: SmallDisk) -> set[str]:
    """What attempts left on the disk, but for the empty file by which they agree about memory."""
    return {each.name for each in disk.path.iterdir() if not each.name.startswith("stemline-memory-")} - {
        "ballast"
    }


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a small source arrive in several pieces."""
    monkeypatch.setattr("stemline.storage.download.CHUNK_BYTES", 10_000)


@pytest.mark.usefixtures("small_chunks")
def test_a_disk_that_others_fill_during_a_download(
    s3: S3, disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job is put off, uncounted, nothing of it is left, and it succeeds once there is room."""
    s3.client.put_object(Bucket=s3.bucket, Key="source", Body=SOURCE)
    bench = Downloading(s3, disk, monkeypatch, max_attempts=1)
    bench.received = disk.fill
    assert AttemptResult(Outcome.POSTPONED, "InternalError", DiskFull().message, counts=False) == bench.run()
    assert not left(disk)
    assert ["out/voice.mp3", "out/bg.mp3"] == bench.cleaned_up()
    assert not bench.store.arguments("release")[1]["counts"]
    disk.free()
    bench.received = lambda: None
    assert AttemptResult(Outcome.SUCCESS) == bench.run()


@pytest.mark.parametrize("says_size", [True, False])
def test_a_source_that_the_disk_cannot_hold(
    s3: S3, disk: SmallDisk, monkeypatch: pytest.MonkeyPatch, says_size: bool
) -> None:
    """The attempt counts, and the last one fails the job, with the reason."""
    s3.client.put_object(Bucket=s3.bucket, Key="source", Body=bytes(3 << 20))
    bench = Downloading(s3, disk, monkeypatch, max_attempts=2)
    bench.says_size = says_size
    result = bench.run()
    assert (Outcome.POSTPONED, True) == (result.outcome, result.counts)
    assert "worker's scratch folder" in result.message
    bench.job = replace(bench.job, attempt=2)
    assert bench.run().outcome is Outcome.FAILED
    assert not left(disk)
