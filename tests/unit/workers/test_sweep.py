"""The sweep: what it goes on with when something of it fails, and how long it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest

from stemline.jobs.callback import CallbackRequest
from stemline.jobs.errors import LeaseLost, RecordTooNew, TargetUnavailable
from stemline.jobs.job import Job, Output
from stemline.jobs.states import State
from stemline.jobs.store import StoreOptions, WakeUp
from stemline.jobs.tenant import Tenant
from stemline.runtime.settings import Settings
from stemline.storage import Upload
from stemline.testing import FixedClock
from stemline.testing.in_memory_store import InMemoryStore
from stemline.testing.samples import job_spec
from stemline.workers import sweep
from stemline.workers.app import CALLBACKS, separate_queue
from stemline.workers.metrics import WorkerMetrics
from stemline.workers.sweep import Sweeper
from tests.support.logs import captured_logs

LEVELS = (2, 1, 0)


@dataclass
class Buckets:
    """Buckets of which some are unavailable."""

    unavailable: set[str]
    asked: list[str] = field(default_factory=list)
    aborted: list[tuple[str, str]] = field(default_factory=list)
    """Key and id of each upload that was aborted."""
    deleted: list[tuple[str, str, int]] = field(default_factory=list)
    """Key of each object that was deleted, and the job and token that may have written it."""

    @property
    def stems(self) -> Buckets:
        return self

    def abort(self, upload: Upload, **_: Any) -> None:
        self.asked.append(upload.bucket)
        if upload.bucket in self.unavailable:
            raise TargetUnavailable
        self.aborted.append((upload.key, upload.upload_id))

    def delete_own(self, region: str, bucket: str, key: str, *, job_id: str, token: int, **_: Any) -> bool:
        self.deleted.append((key, job_id, token))
        return True


class Quiet:
    """What a sweep reports to; does nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


class Broker:
    """The application, its connection and the notifier: holds messages by queue, and what was sent."""

    def __init__(self) -> None:
        self.waiting: dict[str, int] = {}
        self.sent: list[WakeUp] = []
        self.delivered: list[str] = []
        self.default_channel = SimpleNamespace(client=SimpleNamespace(llen=lambda q: self.waiting.get(q, 0)))

    @contextmanager
    def connection_for_read(self) -> Iterator[Broker]:
        yield self

    def notify_workers(self, wake_ups: Iterable[WakeUp]) -> None:
        self.sent += wake_ups

    def deliver(self, delivery_id: str) -> None:
        self.delivered.append(delivery_id)


class Bench:
    """A sweeper of a store in memory."""

    def __init__(self, *unavailable: str) -> None:
        self.clock = FixedClock()
        self.store = InMemoryStore(StoreOptions(queue_max_concurrent=1000), clock=self.clock)
        self.buckets = Buckets(set(unavailable))
        self.broker = Broker()
        quiet: Any = Quiet()
        buckets: Any = self.buckets
        broker: Any = self.broker
        self.sweeper = Sweeper(
            Settings(),
            self.store,
            buckets,
            app=broker,
            notifier=broker,
            metrics=WorkerMetrics(),
            events=quiet,
        )

    def dead_job(self, bucket: str, **changes: Any) -> Job:
        """A running job with an upload to a bucket, whose lease has expired."""
        tenant = Tenant(bucket, "ap-chongqing")
        output = Output(tenant.region, bucket, au_object="out/a")
        spec = replace(job_spec(), tenant=tenant, queue_id="", output=output, **changes)
        self.store.jobs.create([spec])
        job = self.store.attempts.claim("w", LEVELS)
        assert job is not None
        self.register(job, "out/a")
        return job

    def register(self, job: Job, *keys: str) -> None:
        """Put uploads on the record of a running job, as its worker does."""
        output = job.spec.output
        uploads = [
            Upload(output.region, output.bucket, key, f"id of {key}", job.id, job.token, 1, "")
            for key in keys
        ]
        self.store.attempts.register_uploads(job.id, job.token, [each.to_json() for each in uploads])

    def expire(self) -> None:
        self.clock.advance(60)

    def states(self, jobs: list[Job]) -> set[State]:
        found = [self.store.jobs.find(job.id) for job in jobs]
        return {job.state for job in found if job}


def test_an_unavailable_bucket_holds_up_its_own_jobs_only() -> None:
    """Jobs of all buckets are reclaimed in one sweep; the bucket is asked once, what is left recorded."""
    bench = Bench("away-1250000000")
    away = [bench.dead_job("away-1250000000") for _ in range(5)]
    others = [bench.dead_job(f"media-125000000{i % 7}") for i in range(20)]
    bench.expire()
    bench.sweeper.reclaim_expired()
    assert {State.SUBMITTED} == bench.states([*others, *away])
    assert 1 == bench.buckets.asked.count("away-1250000000")
    assert 5 == bench.store.statistics.read().leftovers


def test_a_bucket_that_never_lets_go_keeps_no_job_running() -> None:
    """A cancelled job ends; what it left is tried again ever less often, and given up after a week."""
    bench = Bench("away-1250000000")
    job = bench.dead_job("away-1250000000")
    bench.store.jobs.cancel(job.spec.tenant, [job.id])
    bench.expire()
    with captured_logs() as logs:
        bench.sweeper.sweep()
        assert {State.CANCEL} == bench.states([job])
        asked = []
        for _ in range(9 * 24):
            bench.clock.advance(3600)
            bench.sweeper.sweep()
            asked.append(len(bench.buckets.asked))
    events = [each["event"] for each in logs if each["event"].startswith("leftovers")]
    assert ("leftovers.given_up", 1) == (events[-1], events.count("leftovers.given_up"))
    assert 15 < asked[-1] < 40
    snapshot = bench.store.statistics.read()
    assert (0, 1) == (snapshot.leftovers, snapshot.totals["leftovers:given_up"])


def test_what_was_left_is_removed_when_the_bucket_lets_go() -> None:
    """The uploads of the attempt go, under its token, while no newer attempt of the job runs."""
    bench = Bench("away-1250000000")
    job = bench.dead_job("away-1250000000")
    bench.expire()
    bench.sweeper.sweep()
    again = bench.store.attempts.claim("w", LEVELS)
    assert again is not None
    bench.buckets.unavailable.clear()
    for _ in range(3):
        bench.clock.advance(15)
        bench.store.attempts.heartbeat(job.id, again.token, 1)
    bench.clock.advance(16)
    bench.store.attempts.heartbeat(job.id, again.token, 1)
    bench.sweeper.sweep()
    assert [] == bench.buckets.aborted
    bench.store.attempts.fail(again, "InternalError", "no")
    bench.clock.advance(200)
    bench.sweeper.sweep()
    assert [("out/a", "id of out/a")] == bench.buckets.aborted
    ((_, job_id, token),) = bench.buckets.deleted
    assert (job.id, True) == (job_id, job.token < token < again.token)
    assert 1 == bench.store.statistics.read().totals["leftovers:removed"]


def test_more_jobs_than_one_read_returns_are_reclaimed() -> None:
    """A hundred and fifty jobs of an unavailable bucket in front do not hide those behind them."""
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
    reclaim = bench.store.attempts.reclaim

    def refuse(job_id: str, sweeper: str) -> Job | None:
        if job_id == new.id:
            raise RecordTooNew
        return reclaim(job_id, sweeper)

    monkeypatch.setattr(bench.store.attempts, "reclaim", refuse)
    bench.sweeper.reclaim_expired()
    assert {State.SUBMITTED} == bench.states([job])


@pytest.mark.parametrize("step", ["promote", "startable", "prune", "expired"])
def test_no_step_that_meets_a_newer_record_stops_the_others(
    monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Whichever step cannot read a record, all others are made, and the sweep counts."""
    bench = Bench()
    calls: list[str] = []

    def called(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **options: Any) -> Any:
            calls.append(name)
            if name == step:
                raise RecordTooNew
            return call(*args, **options)

        run.__name__ = name
        return run

    names = ["promote", "startable", "prune", "expired"]
    for name in names:
        part = bench.store.attempts if name == "expired" else bench.store.jobs
        monkeypatch.setattr(part, name, called(name, getattr(part, name)))
    bench.sweeper.sweep()
    assert names == list(dict.fromkeys(calls))


def test_reclaiming_ends_with_its_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the time is up, the rest waits for the next sweep."""
    bench = Bench()
    for _ in range(3):
        bench.dead_job("media-1250000000")
    bench.expire()
    monkeypatch.setattr(sweep, "RECLAIM_BUDGET_S", -1.0)
    bench.sweeper.reclaim_expired()
    assert 3 == len(bench.store.attempts.expired())


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

    def lose(_: Upload, **__: Any) -> None:
        raise LeaseLost

    monkeypatch.setattr(bench.buckets, "abort", lose)
    unavailable: set[tuple[str, str]] = set()
    assert not bench.sweeper.reclaim(job.id, unavailable)
    assert set() == unavailable


def test_a_damaged_record_stops_nothing_else() -> None:
    """A job whose recorded upload cannot be read is left alone, and the jobs after it are reclaimed."""
    bench = Bench()
    damaged, whole = bench.dead_job("a-1"), bench.dead_job("b-1")
    bench.store.attempts.register_uploads(damaged.id, damaged.token, [{"upload_id": "u"}])
    bench.expire()
    with captured_logs() as lines:
        bench.sweeper.reclaim_expired()
    found = bench.store.jobs.find(whole.id)
    assert found is not None
    assert State.SUBMITTED is found.state
    assert [("reclaim.failed", damaged.id)] == [
        (line["event"], line["job"]) for line in lines if line["log_level"] == "error"
    ]


def test_what_a_dead_attempt_registered_is_removed_before_the_next_one() -> None:
    """Every registered upload is aborted and its object deleted, by the new token, while nobody can claim."""
    bench = Bench()
    job = bench.dead_job("media-1250000000")
    keys = ("out/a", "out/b", "out/c")
    bench.register(job, *keys)
    claimable: list[Job | None] = []
    abort = bench.buckets.abort

    def looking(upload: Upload, **_: Any) -> None:
        claimable.append(bench.store.attempts.claim("w", LEVELS))
        abort(upload)

    bench.buckets.abort = looking  # type: ignore[method-assign]
    bench.expire()
    bench.sweeper.sweep()
    assert [(key, f"id of {key}") for key in keys] == bench.buckets.aborted
    assert [(key, job.id) for key in keys] == [(key, job_id) for key, job_id, _ in bench.buckets.deleted]
    assert all(token > job.token for _, _, token in bench.buckets.deleted)
    assert [None] * len(keys) == claimable
    again = bench.store.attempts.claim("w", LEVELS)
    assert again is not None
    assert (job.id, 2, ()) == (again.id, again.attempt, tuple(again.uploads))


def test_a_job_whose_lease_holds_is_left_alone() -> None:
    """Neither its uploads nor its record are touched."""
    bench = Bench()
    job = bench.dead_job("media-1250000000")
    bench.sweeper.sweep()
    assert ([], []) == (bench.buckets.aborted, bench.buckets.deleted)
    assert {State.RUNNING} == bench.states([job])


def test_the_last_attempt_is_cleaned_up_too() -> None:
    """A job that dies on its last attempt fails with the reason, and leaves nothing."""
    bench = Bench()
    jobs: list[Job] = []
    for _ in range(Settings().jobs.max_attempts):
        job = bench.dead_job("media-1250000000") if not jobs else bench.store.attempts.claim("w", LEVELS)
        assert job is not None
        bench.register(job, f"out/{job.attempt}")
        jobs.append(job)
        bench.expire()
        bench.sweeper.sweep()
    assert [f"out/{job.attempt}" for job in jobs] == [key for key, _, _ in bench.buckets.deleted]
    found = bench.store.jobs.find(jobs[0].id)
    assert found is not None
    assert (State.FAILED, "The worker died on each of 3 attempts.") == (found.state, found.message)


def test_a_cancelled_job_of_a_dead_worker_is_cleaned_up_and_cancelled() -> None:
    """The sweeper confirms the cancel that the dead worker could not."""
    bench = Bench()
    job = bench.dead_job("media-1250000000")
    bench.store.jobs.cancel(job.spec.tenant, [job.id])
    bench.expire()
    bench.sweeper.sweep()
    assert [("out/a", "id of out/a")] == bench.buckets.aborted
    assert {State.CANCEL} == bench.states([job])


def test_a_sweep_wakes_up_what_messages_are_missing_for() -> None:
    """Of the jobs that could start, those beyond the messages in the broker get one, at each level."""
    bench = Bench()
    for level in (0, 0, 0, 2):
        bench.store.jobs.create([replace(job_spec(), queue_id="", level=level)])
    bench.broker.waiting = {separate_queue(0): 1, separate_queue(2): 1}
    bench.sweeper.sweep()
    assert [0, 0] == [each.level for each in bench.broker.sent]


def test_a_sweep_makes_delayed_jobs_claimable() -> None:
    """A job that was put off can be claimed after its delay, and gets a wake-up."""
    bench = Bench()
    bench.store.jobs.create([replace(job_spec(), queue_id="")])
    job = bench.store.attempts.claim("w", LEVELS)
    assert job is not None
    bench.store.attempts.release(job, delay_s=30)
    bench.sweeper.sweep()
    assert bench.store.attempts.claim("w", LEVELS) is None
    bench.clock.advance(31)
    bench.sweeper.sweep()
    assert [WakeUp(1, job.id)] == bench.broker.sent
    assert bench.store.attempts.claim("w", LEVELS) is not None


def test_a_sweep_sends_due_callbacks_again() -> None:
    """A callback whose message was lost is asked for again, up to what the broker may hold."""
    bench = Bench()
    job = bench.dead_job("media-1250000000", callback=CallbackRequest(url="http://a/"))
    bench.store.attempts.fail(job, "InternalError", "no")
    delivery = bench.store.outbox.for_job(job.id)
    assert delivery is not None
    bench.broker.waiting = {CALLBACKS: sweep.MAX_DELIVERIES}
    bench.sweeper.sweep()
    assert [] == bench.broker.delivered
    bench.broker.waiting.clear()
    bench.sweeper.sweep()
    assert [delivery.id] == bench.broker.delivered


def test_a_job_that_ends_in_a_sweep_is_announced_at_once() -> None:
    """The callback of a job that died on its last attempt is asked for by the sweep that ends it."""
    bench = Bench()
    for _ in range(Settings().jobs.max_attempts):
        job = bench.store.attempts.claim("w", LEVELS) or bench.dead_job(
            "media-1250000000", callback=CallbackRequest(url="http://a/")
        )
        bench.expire()
        bench.sweeper.reclaim_expired()
    delivery = bench.store.outbox.for_job(job.id)
    assert delivery is not None
    assert [delivery.id] == bench.broker.delivered


def test_a_sweep_deletes_what_is_past_its_retention() -> None:
    """Old records go with an ordinary sweep."""
    bench = Bench()
    job = bench.dead_job("media-1250000000")
    bench.store.attempts.fail(job, "InternalError", "no")
    bench.clock.advance(91 * 86_400)
    bench.sweeper.sweep()
    assert bench.store.jobs.find(job.id) is None
