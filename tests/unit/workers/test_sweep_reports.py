"""What a sweep reports of the jobs that it takes from dead workers, and of what buckets do not let go."""

from __future__ import annotations

from typing import Any

import pytest
import redis
import structlog

from stemline.jobs.errors import RecordTooNew
from stemline.jobs.serving import Demand
from stemline.jobs.states import State
from stemline.jobs.store import WakeUp
from stemline.runtime.settings import Settings
from stemline.workers import sweep
from stemline.workers.app import CALLBACKS
from stemline.workers.outcome import AttemptResult, Outcome
from tests.support.logs import captured_logs
from tests.unit.workers.test_sweep import LEVELS, Bench

BUCKET = "media-1250000000"
AWAY = "away-1250000000"


class Events:
    """Notes how jobs ended, and what the log was bound to meanwhile."""

    def __init__(self) -> None:
        self.ended: list[tuple[Any, ...]] = []
        self.bound: dict[str, Any] = {}

    def job_ended(self, *args: Any) -> None:
        self.ended.append(args)
        self.bound = structlog.contextvars.get_contextvars()


def reporting(*unavailable: str) -> tuple[Bench, Events]:
    bench, events = Bench(*unavailable), Events()
    vars(bench.sweeper)["_events"] = events
    return bench, events


def reclaims(bench: Bench, outcome: str) -> float:
    metrics = vars(bench.sweeper)["_metrics"]
    return metrics.reclaims.labels(outcome)._value.get()


def test_a_job_of_a_dead_worker_is_reported_as_released() -> None:
    """Log, metric and Flower say that the worker died; the lines name job, attempt and the new token."""
    bench, events = reporting()
    job = bench.dead_job(BUCKET)
    bench.expire()
    with captured_logs() as lines:
        assert bench.sweeper.reclaim(job.id, set())
    ((ended, result, seconds),) = events.ended
    assert (job.id, AttemptResult(Outcome.RELEASED, message="The worker died."), 0) == (
        ended.id,
        result,
        seconds,
    )
    assert {"job": job.id, "attempt": 1, "token": ended.token} == events.bound
    assert ended.token > job.token
    reclaimed = {"event": "job.reclaimed", "log_level": "warning", "outcome": Outcome.RELEASED}
    assert [reclaimed] == lines
    assert 1 == reclaims(bench, "released")


def test_a_job_after_its_last_attempt_is_reported_as_failed() -> None:
    """The code is that of an error inside, and the message counts the attempts."""
    bench, events = reporting(AWAY)
    job = bench.dead_job(AWAY)
    for number in range(Settings().jobs.max_attempts):
        if number:
            again = bench.store.attempts.claim("w", LEVELS)
            assert again is not None
            bench.register(again, "out/a")
        bench.expire()
        bench.sweeper.reclaim(job.id, set())
    expected = AttemptResult(Outcome.FAILED, "InternalError", "The worker died on each of 3 attempts.")
    assert expected == events.ended[-1][1]
    found = bench.store.jobs.find(job.id)
    assert found is not None
    assert (State.FAILED, "InternalError") == (found.state, found.code)
    assert (2, 1) == (reclaims(bench, "released"), reclaims(bench, "failed"))
    assert 3 == bench.store.statistics.read().leftovers


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_cancelled_job_is_reported_as_cancelled(when: str) -> None:
    """A cancel before the sweep, and one between its reading and its writing, end the job."""
    bench, events = reporting(AWAY)
    job = bench.dead_job(AWAY)
    bench.expire()

    def cancel(*_: Any, **__: Any) -> None:
        bench.store.jobs.cancel(job.spec.tenant, [job.id])

    if when == "before":
        cancel()
    else:
        vars(bench.buckets)["abort"] = cancel
    assert bench.sweeper.reclaim(job.id, set())
    assert [AttemptResult(Outcome.CANCELLED)] == [result for _, result, _ in events.ended]
    assert {State.CANCEL} == bench.states([job])


def test_a_job_that_another_was_faster_with_is_not_reported() -> None:
    """A lease that holds again, or a job that ended, is left alone."""
    bench, events = reporting()
    job = bench.dead_job(BUCKET)
    assert not bench.sweeper.reclaim(job.id, set())
    assert [] == events.ended


def test_the_record_names_the_sweeper() -> None:
    """Who reclaimed a job is in its history, with host and process."""
    bench, _ = reporting()
    names: list[str] = []
    attempts = bench.store.attempts
    reclaim = attempts.reclaim

    def noted(job_id: str, name: str) -> Any:
        names.append(name)
        return reclaim(job_id, name)

    vars(attempts)["reclaim"] = noted
    bench.dead_job(BUCKET)
    bench.expire()
    bench.sweeper.reclaim_expired()
    (name,) = names
    assert name.startswith("sweeper@")
    assert name.partition("/")[2].isdecimal()


def test_a_sweep_that_runs_out_of_time_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line counts the buckets that did not answer; the jobs are left for the next sweep."""
    bench, events = reporting(AWAY)
    for _ in range(3):
        bench.dead_job(AWAY)
    bench.expire()
    times = iter([0.0, 0.0, 31.0])
    monkeypatch.setattr("stemline.workers.sweep.time.monotonic", lambda: next(times, 31.0))
    monkeypatch.setattr(sweep, "cleanup", lambda _, uploads, **__: list(uploads))
    with captured_logs() as lines:
        bench.sweeper.reclaim_expired()
    expected = {"event": "reclaim.out_of_time", "log_level": "warning", "buckets": 1}
    assert expected in lines
    assert 1 == len(events.ended)


def test_a_record_of_a_newer_release_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its job waits until this process is updated."""
    bench, _ = reporting()
    job = bench.dead_job(BUCKET)
    bench.expire()

    def too_new(*_: Any) -> None:
        raise RecordTooNew("It is of release 9.")

    monkeypatch.setattr(bench.sweeper, "reclaim", too_new)
    with captured_logs() as lines:
        bench.sweeper.reclaim_expired()
    postponed = {
        "event": "reclaim.postponed",
        "log_level": "warning",
        "job": job.id,
        "reason": "It is of release 9.",
    }
    assert [postponed] == lines


def test_what_a_bucket_keeps_is_named_until_it_lets_go() -> None:
    """Each try, the removal and the end name the job and its objects."""
    bench, _ = reporting(AWAY)
    job = bench.dead_job(AWAY)
    bench.store.jobs.cancel(job.spec.tenant, [job.id])
    bench.expire()
    bench.sweeper.reclaim_expired()
    bench.clock.advance(3600)
    about = {"job": job.id, "objects": [f"{AWAY}/out/a"]}
    with captured_logs() as lines:
        bench.sweeper.remove_leftovers()
    kept = [line for line in lines if line["event"] == "leftovers.kept"]
    assert [{"event": "leftovers.kept", "log_level": "warning", "tries": 1, **about}] == kept
    bench.buckets.unavailable.clear()
    bench.clock.advance(3600)
    with captured_logs() as lines:
        bench.sweeper.remove_leftovers()
    assert [{"event": "leftovers.removed", "log_level": "info", **about}] == lines


def test_what_a_bucket_keeps_for_a_week_is_given_up() -> None:
    """It is an error for the operator, who has to remove the objects; it counts as given up."""
    bench, _ = reporting(AWAY)
    job = bench.dead_job(AWAY)
    bench.store.jobs.cancel(job.spec.tenant, [job.id])
    bench.expire()
    bench.sweeper.reclaim_expired()
    bench.clock.advance(sweep.LEFTOVERS_KEPT_S + 1)
    with captured_logs() as lines:
        bench.sweeper.remove_leftovers()
    about = {"job": job.id, "objects": [f"{AWAY}/out/a"]}
    assert {"event": "leftovers.given_up", "log_level": "error", **about} in lines
    assert 1 == bench.store.statistics.read().totals["leftovers:given_up"]


def test_a_damaged_leftover_is_named_and_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one is removed all the same."""
    bench, _ = reporting(AWAY)
    jobs = [bench.dead_job(AWAY) for _ in range(2)]
    for job in jobs:
        bench.store.jobs.cancel(job.spec.tenant, [job.id])
    bench.expire()
    bench.sweeper.reclaim_expired()
    bench.clock.advance(3600)
    bench.buckets.unavailable.clear()
    remove, met = bench.sweeper._remove, list[str]()

    def first_is_damaged(found: Any, unavailable: Any) -> None:
        met.append(found.job_id)
        if len(met) == 1:
            raise KeyError("region")
        remove(found, unavailable)

    monkeypatch.setattr(bench.sweeper, "_remove", first_is_damaged)
    with captured_logs() as lines:
        bench.sweeper.remove_leftovers()
    failed = [line for line in lines if line["event"] == "leftovers.failed"]
    assert [("error", met[0])] == [(line["log_level"], line["job"]) for line in failed]
    assert {job.id for job in jobs} == set(met)
    assert 1 == bench.store.statistics.read().totals["leftovers:removed"]


@pytest.mark.parametrize(("waiting", "limit"), [(0, 1000), (998, 2), (999, 1), (1000, None), (1001, None)])
def test_deliveries_fill_the_broker_up_to_a_limit(
    monkeypatch: pytest.MonkeyPatch, waiting: int, limit: int | None
) -> None:
    """Of those that are due as many are sent as there is room for; without room the store is not asked."""
    bench, _ = reporting()
    bench.broker.waiting[CALLBACKS] = waiting
    asked: list[int] = []

    def due(most: int) -> list[str]:
        asked.append(most)
        return ["d1"]

    monkeypatch.setattr(bench.store.outbox, "due", due)
    bench.sweeper.resend_deliveries()
    assert ([limit] if limit else []) == asked
    assert (["d1"] if limit else []) == bench.broker.delivered


@pytest.mark.parametrize("error", [redis.exceptions.ConnectionError(), OSError()])
def test_an_unavailable_broker_counts_as_empty(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """What is sent twice does no harm; what is not sent would wait."""
    bench, _ = reporting()

    def refused() -> None:
        raise error

    monkeypatch.setattr(bench.broker, "connection_for_read", refused)
    assert 0 == bench.sweeper._waiting_messages("separate.1")


def test_messages_are_counted_in_the_queue_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wake-ups for a model of its own wait where only its workers listen; each model is asked for."""
    bench, _ = reporting()
    monkeypatch.setattr(
        bench.store.jobs,
        "demands",
        lambda: [Demand("htdemucs", 3, served=True), Demand("gone", 1, served=False)],
    )
    asked: list[tuple[int, int, str]] = []

    def startable(level: int, most: int, wants: str) -> list[WakeUp]:
        asked.append((level, most, wants))
        return [WakeUp(level, f"j{number}", wants) for number in range(3)] if wants else []

    monkeypatch.setattr(bench.store.jobs, "startable", startable)
    bench.broker.waiting = {"separate.0.htdemucs": 1, "separate.1.htdemucs": 3, "separate.2.htdemucs": 4}
    bench.sweeper.resend_wake_ups()
    assert {(level, 200, wants) for level in LEVELS for wants in ("", "htdemucs")} == set(asked)
    assert [("j1", 0), ("j2", 0)] == [(each.job_id, each.level) for each in bench.broker.sent]
