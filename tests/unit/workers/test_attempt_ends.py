"""How an attempt ends: stopped, cancelled, without its lease; and what it removes before."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from stemline.jobs.errors import (
    CancelAsked,
    LeaseLost,
    SourceNotFound,
    StoreUnavailable,
    TargetDenied,
    TargetUnavailable,
)
from stemline.separation.errors import (
    Cancelled,
)
from stemline.separation.pipeline import Report
from stemline.storage import TransferCancelled
from stemline.workers import lease_keeper, store_retry
from stemline.workers.outcome import AttemptResult, Outcome


def test_everything_visible_or_deleted_is_bound_to_the_lease(make):
    """Completing and deleting expire with the lease as last renewed, not later."""
    for failing in (False, True):
        bench = make(lease_s=30, heartbeat_s=10)
        if failing:
            bench.buckets.errors["send"] = [TargetDenied("denied")]
        before = time.time()
        bench.run()
        bound = [
            options["expires_at"]()
            for name, _, options in bench.buckets.calls
            if name in {"complete", "delete_own"}
        ]
        assert len(bound) == 2
        assert all(before + 30 <= end <= time.time() + 30 for end in bound)


def test_a_postponed_attempt_leaves_nothing(make):
    """When the second stem cannot be published, both are cleaned up before the job is released."""
    bench = make()
    bench.buckets.errors["complete"] = [None, TargetUnavailable()]
    assert Outcome.POSTPONED == bench.run().outcome
    assert ["out/voice.mp3", "out/bg.mp3"] == bench.cleaned_up()
    assert "release" == bench.store.names()[-1]


def test_a_shutdown_releases_the_job(make):
    """When the grace of a shutdown has expired the attempt stops and releases the job uncounted."""
    bench = make(worker_grace_s=0)
    bench.shutdown.request()

    def stop(*_: Any, cancelled: Callable[[], bool], **__: Any) -> Report:
        assert cancelled()
        raise Cancelled

    bench.engine.results["separate_file"] = stop
    assert Outcome.RELEASED == bench.run().outcome
    assert ((bench.job,), {"leftovers": []}) == bench.store.arguments("release")


def test_the_time_limit_fails_the_job(make):
    """An attempt that takes longer than the limit stops and fails the job."""
    bench = make(job_time_limit_s=0.01)

    def stop(*_: Any, cancelled: Callable[[], bool], **__: Any) -> Report:
        time.sleep(0.05)
        assert cancelled()
        raise Cancelled

    bench.engine.results["separate_file"] = stop
    result = bench.run()
    assert (Outcome.FAILED, "InternalError") == (result.outcome, result.code)
    assert "longer than" in result.message


def test_the_timeout_of_a_job_fails_it_with_its_own_code(make):
    """An attempt that takes longer than its job's own Timeout fails the job."""
    bench = make()
    bench.job = replace(bench.job, spec=replace(bench.job.spec, timeout_s=0.01))

    def stop(*_: Any, cancelled: Callable[[], bool], **__: Any) -> Report:
        time.sleep(0.05)
        assert cancelled()
        raise Cancelled

    bench.engine.results["separate_file"] = stop
    result = bench.run()
    assert (Outcome.FAILED, "JobTimeout") == (result.outcome, result.code)


def test_a_cancel_stops_the_attempt(make):
    """A cancel that a heartbeat reports stops the separation, and is confirmed after the cleanup."""
    bench = make()
    bench.store.results["heartbeat"] = lambda *_, **__: True

    def work(*_: Any, cancelled: Callable[[], bool], **__: Any) -> Report:
        deadline = time.monotonic() + 60
        while not cancelled():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        raise Cancelled

    bench.engine.results["separate_file"] = work
    assert AttemptResult(Outcome.CANCELLED) == bench.run()
    assert "confirm_cancel" == bench.store.names()[-1]


@pytest.mark.parametrize("write", ["succeed", "fail", "release"])
def test_a_cancel_takes_precedence(make, write):
    """A cancel that comes before the end is recorded turns success, failure and release into Cancel."""
    bench = make()
    bench.store.errors[write] = [CancelAsked()]
    if write != "succeed":
        bench.buckets.errors["complete"] = [SourceNotFound() if write == "fail" else TargetUnavailable()]
    assert AttemptResult(Outcome.CANCELLED) == bench.run()
    assert ["out/voice.mp3", "out/bg.mp3"] == bench.cleaned_up()
    assert "confirm_cancel" == bench.store.names()[-1]


@pytest.mark.parametrize("where", ["register_uploads", "complete", "succeed"])
def test_a_lost_lease_ends_the_attempt_without_a_trace(make, where):
    """An attempt that has lost its lease neither deletes anything nor writes to the record."""
    bench = make()
    (bench.buckets if where == "complete" else bench.store).errors[where] = [LeaseLost()]
    assert AttemptResult(Outcome.SUPERSEDED) == bench.run()
    assert [] == bench.cleaned_up()
    assert not {"fail", "release", "confirm_cancel"} & {*bench.store.names()}


@pytest.mark.parametrize(
    ("error", "outcome", "recorded"),
    [
        (TargetDenied("denied"), Outcome.FAILED, "fail"),
        (TargetUnavailable("gone"), Outcome.POSTPONED, "release"),
        (TransferCancelled(), Outcome.CANCELLED, "confirm_cancel"),
    ],
)
def test_what_a_bucket_does_not_let_go_is_recorded_with_the_end(make, error, outcome, recorded):
    """A cleanup that fails keeps no job running: it ends as it would, and its record says what is left."""
    bench = make()
    bench.buckets.errors |= {"complete": [error], "abort": [TargetUnavailable("no bucket")]}
    assert outcome == bench.run().outcome
    left = bench.store.arguments(recorded)[1]["leftovers"]
    assert ["out/voice.mp3"] == [each["key"] for each in left]
    assert ["out/bg.mp3"] == [args[2] for name, args, _ in bench.buckets.calls if name == "delete_own"]


def test_the_end_waits_for_the_store(make):
    """While the store is unavailable the end of a job is written again until it is stored."""
    bench = make()
    bench.store.errors["succeed"] = [StoreUnavailable(), StoreUnavailable()]
    assert Outcome.SUCCESS == bench.run().outcome
    assert 3 == bench.store.names().count("succeed")


def test_a_store_that_stays_unavailable_costs_the_lease(make, monkeypatch):
    """When the store stays unavailable for too long the attempt gives up its job."""
    monkeypatch.setattr(store_retry, "LIMIT_S", 0.05)
    bench = make()
    bench.store.errors["succeed"] = [StoreUnavailable() for _ in range(1000)]
    assert Outcome.SUPERSEDED == bench.run().outcome


def test_nothing_is_completed_under_a_lease_that_is_nearly_over(make, monkeypatch):
    """With less of the lease left than the margin, the attempt gives up before a stem becomes visible."""
    monkeypatch.setattr(lease_keeper, "LIMIT_S", 0.05)
    bench = make(lease_s=lease_keeper.MARGIN_S - 1, heartbeat_s=60)
    assert Outcome.SUPERSEDED == bench.run().outcome
    assert "send" in bench.buckets.names()
    assert "complete" not in bench.buckets.names()


def test_the_scratch_folder_is_removed(make, tmp_path):
    """Whether an attempt succeeds or fails, its folder is gone afterwards."""
    for errors in ([], [SourceNotFound()]):
        bench = make()
        bench.buckets.errors["download"] = errors
        with suppress(Exception):
            bench.run()
        assert [] == [each for each in tmp_path.iterdir() if each.is_dir()]
