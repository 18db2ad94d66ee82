"""The sweep: what it goes on with when something of it fails, and how long it takes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import structlog

from stemline.jobs.errors import LeaseLost, RecordTooNew, TargetUnavailable
from stemline.jobs.job import Job, Output
from stemline.jobs.states import State
from stemline.jobs.store import StoreOptions
from stemline.jobs.tenant import Tenant
from stemline.runtime.settings import Settings
from stemline.storage import Upload
from stemline.testing import FixedClock
from stemline.testing.in_memory_store import InMemoryStore
from stemline.testing.samples import job_spec
from stemline.workers import sweep
from stemline.workers.metrics import WorkerMetrics
from stemline.workers.sweep import Sweeper

LEVELS = (2, 1, 0)


@dataclass
class Buckets:
    """Buckets of which some are unavailable."""

    unavailable: set[str]
    asked: list[str] = field(default_factory=list)

    def abort(self, upload: Upload) -> None:
        self.asked.append(upload.bucket)
        if upload.bucket in self.unavailable:
            raise TargetUnavailable

    def delete_own(self, region: str, bucket: str, key: str, **_: Any) -> bool:
        return True


class Quiet:
    """What a sweep reports to; does nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


class Bench:
    """A sweeper of a store in memory."""

    def __init__(self, *unavailable: str) -> None:
        self.clock = FixedClock()
        self.store = InMemoryStore(StoreOptions(queue_max_concurrent=1000), clock=self.clock)
        self.buckets = Buckets(set(unavailable))
        quiet: Any = Quiet()
        buckets: Any = self.buckets
        self.sweeper = Sweeper(
            Settings(), self.store, buckets, app=quiet, notifier=quiet, metrics=WorkerMetrics(), events=quiet
        )

    def dead_job(self, bucket: str) -> Job:
        """A running job with an upload to a bucket, whose lease has expired."""
        tenant = Tenant(bucket, "ap-chongqing")
        spec = replace(
            job_spec(), tenant=tenant, queue_id="", output=Output(tenant.region, bucket, au_object="out/a")
        )
        self.store.jobs.create([spec])
        job = self.store.jobs.claim("w", LEVELS)
        assert job is not None
        upload = Upload(tenant.region, bucket, "out/a", "u", job.id, job.token, 1, "")
        self.store.jobs.register_uploads(job.id, job.token, [upload.to_json()])
        return job

    def expire(self) -> None:
        self.clock.advance(60)

    def states(self, jobs: list[Job]) -> set[State]:
        found = [self.store.jobs.find(job.id) for job in jobs]
        return {job.state for job in found if job}


def test_an_unavailable_bucket_holds_up_its_own_jobs_only() -> None:
    """The jobs of all other buckets are reclaimed in the same sweep, and the bucket is asked once."""
    bench = Bench("away-1250000000")
    away = [bench.dead_job("away-1250000000") for _ in range(5)]
    others = [bench.dead_job(f"media-125000000{i % 7}") for i in range(20)]
    bench.expire()
    with structlog.testing.capture_logs() as logs:
        bench.sweeper.reclaim_expired()
    assert {State.SUBMITTED} == bench.states(others)
    assert {State.RUNNING} == bench.states(away)
    assert 1 == bench.buckets.asked.count("away-1250000000")
    assert 5 == [each["event"] for each in logs].count("reclaim.postponed")
    bench.buckets.unavailable.clear()
    bench.expire()
    bench.sweeper.reclaim_expired()
    assert {State.SUBMITTED} == bench.states(away)


def test_more_jobs_than_one_read_returns_are_reclaimed() -> None:
    """A hundred jobs of an unavailable bucket in front do not hide those behind them."""
    bench = Bench("away-1250000000")
    for i in range(15):
        for _ in range(10):
            bench.dead_job("away-1250000000")
        bench.dead_job(f"media-12500000{i:02}")
    other = bench.dead_job("media-1250000000")
    bench.expire()
    bench.sweeper.reclaim_expired()
    assert {State.SUBMITTED} == bench.states([other])


def test_a_record_of_a_newer_release_stops_no_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that this release cannot read stays, the others are reclaimed."""
    bench = Bench()
    new, job = bench.dead_job("new-1250000000"), bench.dead_job("media-1250000000")
    bench.expire()
    reclaim = bench.store.jobs.reclaim

    def refuse(job_id: str, sweeper: str) -> Job | None:
        if job_id == new.id:
            raise RecordTooNew
        return reclaim(job_id, sweeper)

    monkeypatch.setattr(bench.store.jobs, "reclaim", refuse)
    bench.sweeper.reclaim_expired()
    assert {State.SUBMITTED} == bench.states([job])


def test_reclaiming_ends_with_its_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the time is up, the rest waits for the next sweep."""
    bench = Bench()
    for _ in range(3):
        bench.dead_job("media-1250000000")
    bench.expire()
    monkeypatch.setattr(sweep, "RECLAIM_BUDGET_S", -1.0)
    bench.sweeper.reclaim_expired()
    assert 3 == len(bench.store.jobs.expired())


def test_everything_past_its_retention_is_deleted_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep deletes batch after batch until none is full, or until its budget is used up."""
    bench = Bench()
    deleted = iter([200, 200, 17, 200, 200])
    limits: list[int] = []

    def prune(limit: int = 0) -> int:
        limits.append(limit)
        return next(deleted)

    monkeypatch.setattr(bench.store.jobs, "prune", prune)
    bench.sweeper.prune()
    assert [200] * 3 == limits
    monkeypatch.setattr(sweep, "PRUNE_BUDGET_S", -1.0)
    bench.sweeper.prune()
    assert 4 == len(limits)


def test_a_lost_lease_counts_for_no_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that another sweeper took meanwhile leaves its bucket available."""
    bench = Bench()
    job = bench.dead_job("media-1250000000")
    bench.expire()

    def lose(_: Upload) -> None:
        raise LeaseLost

    monkeypatch.setattr(bench.buckets, "abort", lose)
    unavailable: set[tuple[str, str]] = set()
    assert not bench.sweeper.reclaim(job.id, unavailable)
    assert set() == unavailable


def test_a_damaged_record_stops_nothing_else() -> None:
    """A job whose recorded upload cannot be read is left alone, and the jobs after it are reclaimed."""
    bench = Bench()
    damaged, whole = bench.dead_job("a-1"), bench.dead_job("b-1")
    bench.store.jobs.register_uploads(damaged.id, damaged.token, [{"upload_id": "u"}])
    bench.expire()
    with structlog.testing.capture_logs() as lines:
        bench.sweeper.reclaim_expired()
    found = bench.store.jobs.find(whole.id)
    assert found is not None
    assert State.SUBMITTED is found.state
    assert [("reclaim.failed", damaged.id)] == [
        (line["event"], line["job"]) for line in lines if line["log_level"] == "error"
    ]
