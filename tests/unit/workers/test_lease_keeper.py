"""The lease keeper: heartbeats, the end of the lease, and the reasons to stop an attempt."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from stemline.jobs.errors import LeaseLost, StoreUnavailable
from stemline.jobs.job import Job
from stemline.jobs.states import State
from stemline.runtime.settings import Settings
from stemline.testing.samples import job_spec
from stemline.workers import lease_keeper
from stemline.workers.lease_keeper import MARGIN_S, LeaseKeeper, StopReason
from stemline.workers.metrics import WorkerMetrics
from stemline.workers.shutdown import Shutdown
from stemline.workers.time_limits import longest_time_limit_s, time_limit_s
from tests.support.logs import captured_logs

LEASE_S, GRACE_S, LIMIT_S = 20.0, 100.0, 1000.0
START = 1_790_000_000.0


class Time:
    """Both clocks that the keeper reads; only tests and its own sleeping move them."""

    def __init__(self) -> None:
        self.passed = 0.0

    def time(self) -> float:
        return START + self.passed

    def monotonic(self) -> float:
        return 500.0 + self.passed

    def sleep(self, seconds: float) -> None:
        self.passed += seconds


class Bench:
    """A keeper whose heartbeats a test answers."""

    def __init__(self, time: Time, heartbeat_s: float = 0.01) -> None:
        self.time = time
        self.heartbeats: list[tuple[Any, ...]] = []
        self.answers: list[bool | Exception] = []
        self.beaten = threading.Event()
        self.metrics, self.shutdown = WorkerMetrics(), Shutdown()
        settings = Settings(
            lease_s=LEASE_S, heartbeat_s=heartbeat_s, worker_grace_s=GRACE_S, job_time_limit_s=LIMIT_S
        )
        job = Job("j1", job_spec(), State.RUNNING, created=0, token=7)
        context: Any = SimpleNamespace(
            store=SimpleNamespace(attempts=self),
            settings=settings,
            metrics=self.metrics,
            shutdown=self.shutdown,
        )
        self.keeper = LeaseKeeper(context, job)

    def heartbeat(self, *arguments: Any, remaining_s: float | None) -> bool:
        self.heartbeats.append((*arguments, remaining_s))
        answer = self.answers.pop(0) if self.answers else False
        if not self.answers:
            self.beaten.set()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def run(self, *answers: bool | Exception) -> None:
        """Enter the keeper until the store has given these answers."""
        self.answers = list(answers)
        with self.keeper:
            assert self.beaten.wait(60)

    def missed(self) -> dict[str, float]:
        samples = next(iter(self.metrics.heartbeats_missed.collect())).samples
        return {s.labels["reason"]: s.value for s in samples if s.name.endswith("_total") and s.value}


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    time = Time()
    monkeypatch.setattr(lease_keeper, "time", time)
    monkeypatch.setattr("stemline.workers.shutdown.time", time)
    return Bench(time)


def test_a_claim_is_valid_for_the_lease_and_nothing_is_known_yet(bench: Bench) -> None:
    """Before the first heartbeat the lease counts from the claim, and there is no reason to stop."""
    keeper = bench.keeper
    assert START + LEASE_S == keeper.expires_at()
    assert (0, "", "", None) == (keeper.progress, keeper.device, keeper.stage, keeper.stop_reason)
    assert not keeper.should_stop()


def test_a_heartbeat_renews_the_lease_from_when_it_was_sent(bench: Bench) -> None:
    """Each heartbeat names job, token, progress, device, stage; the lease counts from before it was sent."""
    bench.keeper.progress, bench.keeper.device, bench.keeper.stage = 40, "cpu", "decode"
    bench.time.passed = 15

    def answer_late(*arguments: Any, remaining_s: float | None) -> bool:
        bench.time.passed = 17.0
        return Bench.heartbeat(bench, *arguments, remaining_s=remaining_s)

    bench.keeper._store = SimpleNamespace(attempts=SimpleNamespace(heartbeat=answer_late))
    bench.keeper._send_heartbeat()
    assert [("j1", 7, 40, "cpu", "decode", None)] == bench.heartbeats
    assert START + 15 + LEASE_S == bench.keeper.expires_at()
    assert {} == bench.missed()


@pytest.mark.parametrize(("passed", "left_s"), [(0.0, 30.0), (29.5, 0.5), (30.0, 0.0), (45.0, 0.0)])
def test_a_heartbeat_says_how_long_the_attempt_will_take(bench: Bench, passed: float, left_s: float) -> None:
    """Clients see what is left of the estimate; an attempt that takes longer is about to end."""
    bench.keeper.ends_at = bench.time.monotonic() + 30
    bench.time.passed = passed
    bench.keeper._send_heartbeat()
    assert [left_s] == [each[-1] for each in bench.heartbeats]


def test_heartbeats_come_from_a_thread_until_the_block_ends(bench: Bench) -> None:
    """Inside the block heartbeats repeat by themselves; after it there are none, and no thread is left."""
    bench.run(False, False, False)
    count = len(bench.heartbeats)
    assert count >= 3
    assert not bench.keeper._thread.is_alive()
    assert bench.keeper._thread.daemon
    assert "lease" == bench.keeper._thread.name


def test_a_new_stage_is_reported_at_once(bench: Bench) -> None:
    """A stage that begins does not wait for the next heartbeat; the same stage again causes none."""
    slow = Bench(bench.time, heartbeat_s=LEASE_S / 3)
    with slow.keeper:
        slow.keeper.stage = "download"
        assert slow.beaten.wait(60)
        slow.keeper.stage = "download"
    assert ["download"] == [each[4] for each in slow.heartbeats]


def test_a_cancelled_job_stops(bench: Bench) -> None:
    """A heartbeat that reports a cancel gives the reason to stop, and the lease stays valid."""
    bench.keeper._store = SimpleNamespace(attempts=SimpleNamespace(heartbeat=lambda *_, **__: True))
    bench.keeper._send_heartbeat()
    assert bench.keeper.should_stop()
    assert StopReason.CANCELLED == bench.keeper.stop_reason
    assert START + LEASE_S == bench.keeper.expires_at()


def test_a_cancel_does_not_replace_an_earlier_reason(bench: Bench) -> None:
    """The first reason to stop is kept."""
    bench.keeper.stop_reason = StopReason.TIME_LIMIT
    bench.run(True)
    assert StopReason.TIME_LIMIT == bench.keeper.stop_reason


def test_a_lost_lease_is_never_valid_again(bench: Bench) -> None:
    """When the store refuses the token the lease is over, heartbeats end, and it is counted and logged."""
    bench.answers = [LeaseLost(), False]
    with captured_logs() as logs, bench.keeper:
        bench.keeper._thread.join(60)
    assert 1 == len(bench.heartbeats)
    assert bench.keeper.should_stop()
    assert (StopReason.LEASE_LOST, 0.0) == (bench.keeper.stop_reason, bench.keeper.expires_at())
    assert {"lease_lost": 1.0} == bench.missed()
    assert [{"event": "lease.lost", "log_level": "warning"}] == logs


def test_an_unreachable_store_leaves_the_lease_as_it_was(bench: Bench) -> None:
    """A heartbeat that the store did not answer changes neither lease nor reason; the next may renew it."""
    bench.answers = [StoreUnavailable(reason="LOADING")]
    with captured_logs() as logs:
        bench.keeper._send_heartbeat()
    assert ("lease.not_renewed", "warning") == (logs[0]["event"], logs[0]["log_level"])
    assert ("SlowDown", "LOADING") == (logs[0]["error"], logs[0]["reason"])
    assert START + LEASE_S == bench.keeper.expires_at()
    assert bench.keeper.stop_reason is None
    assert {"store_unavailable": 1.0} == bench.missed()
    bench.time.passed = 10
    bench.keeper._send_heartbeat()
    assert START + 10 + LEASE_S == bench.keeper.expires_at()


def test_an_error_of_any_kind_leaves_the_thread_running(bench: Bench) -> None:
    """A heartbeat that fails unexpectedly is logged and counted, and the next one renews the lease."""
    with captured_logs() as logs:
        bench.run(RuntimeError("no store error"), ValueError("nor this"), False)
    assert len(bench.heartbeats) >= 3
    assert ["lease.not_renewed"] * 2 == [each["event"] for each in logs]
    assert {"error": 2.0} == bench.missed()
    assert bench.keeper.stop_reason is None


def test_waiting_for_a_valid_lease_ends_at_its_limit(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a renewal the wait gives the job up after its limit, so that the worker takes others again."""
    monkeypatch.setattr(lease_keeper, "LIMIT_S", 30.0)
    bench.time.passed = LEASE_S
    with pytest.raises(LeaseLost):
        bench.keeper.ensure_valid()
    assert 30.0 <= bench.time.passed - LEASE_S < 31.0


def test_a_worker_that_is_stopped_lets_the_job_run_for_the_grace_period(bench: Bench) -> None:
    """After a stop the attempt may continue for the grace period, then it must stop."""
    bench.shutdown.request()
    bench.time.passed = GRACE_S - 0.001
    assert not bench.keeper.should_stop()
    bench.time.passed = GRACE_S
    assert bench.keeper.should_stop()
    assert StopReason.SHUTDOWN == bench.keeper.stop_reason


def test_a_job_has_a_time_limit(bench: Bench) -> None:
    """An attempt that takes longer than the limit must stop; one that takes exactly as long need not."""
    bench.time.passed = LIMIT_S
    assert not bench.keeper.should_stop()
    bench.time.passed = LIMIT_S + 0.001
    assert bench.keeper.should_stop()
    assert StopReason.TIME_LIMIT == bench.keeper.stop_reason


def test_an_attempt_has_the_time_limit_of_its_model(bench: Bench) -> None:
    """What the job wants decides, not what is the limit of all."""
    job = Job("j1", job_spec(), State.RUNNING, created=0, token=7)
    limits = {job.spec.wants: 5.0}
    context: Any = SimpleNamespace(
        store=None, settings=Settings(model_time_limits_s=limits), metrics=None, shutdown=bench.shutdown
    )
    keeper = LeaseKeeper(context, job)
    bench.time.passed = 5.5
    assert keeper.should_stop()
    assert StopReason.TIME_LIMIT == keeper.stop_reason


def test_a_model_has_a_time_limit_of_its_own() -> None:
    """Jobs that want it have its limit, others that of all; the broker waits for the longest."""
    settings = Settings(job_time_limit_s=100, model_time_limits_s={"htdemucs": 900, "MusicMode": 50}).workers
    limits = [time_limit_s(settings, wants) for wants in ("htdemucs", "MusicMode", "AudioAndBackground")]
    assert [900, 50, 100] == limits
    assert 900 == longest_time_limit_s(settings)
    assert 100 == longest_time_limit_s(Settings(job_time_limit_s=100).workers)


def test_a_valid_lease_is_not_waited_for(bench: Bench) -> None:
    """With the margin left, nothing waits."""
    bench.time.passed = LEASE_S - MARGIN_S
    bench.keeper.ensure_valid()
    assert LEASE_S - MARGIN_S == bench.time.passed


def test_a_short_lease_is_waited_for(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """With less than the margin left, it waits in short steps until a heartbeat has renewed the lease."""
    bench.time.passed = LEASE_S - MARGIN_S + 0.5
    slept = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            bench.keeper._send_heartbeat()

    monkeypatch.setattr(bench.time, "sleep", sleep)
    bench.keeper.ensure_valid()
    assert [0.1, 0.1, 0.1] == slept


def test_a_lost_lease_is_not_waited_for(bench: Bench) -> None:
    """A lease that is lost raises at once, however much of it would have been left."""
    bench.keeper.stop_reason = StopReason.LEASE_LOST
    with pytest.raises(LeaseLost):
        bench.keeper.ensure_valid()
    assert 0 == bench.time.passed


def test_a_worker_that_must_exit_waits_no_longer_than_the_margin(bench: Bench) -> None:
    """A stopped worker gives up waiting for its lease when grace period and margin are over."""
    bench.shutdown.request()
    bench.time.passed = LEASE_S
    with pytest.raises(LeaseLost):
        bench.keeper.ensure_valid()
    assert GRACE_S + MARGIN_S == pytest.approx(bench.time.passed, abs=0.2)
    assert bench.time.passed >= GRACE_S + MARGIN_S


def test_a_job_has_a_time_limit_of_its_own(bench: Bench) -> None:
    """An attempt stops when it takes longer than its job's Timeout, and not before."""
    bench.keeper._job = SimpleNamespace(id="j1", token=7, spec=SimpleNamespace(timeout_s=30))  # type: ignore[assignment]
    bench.time.passed = 30
    assert not bench.keeper.should_stop()
    bench.time.passed = 30.5
    assert bench.keeper.should_stop()
    assert StopReason.TIMEOUT == bench.keeper.stop_reason
