"""Contract of a job store: equal jobs find each other, on a real Valkey and in memory."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stemline.jobs.errors import CancelAsked, LeaseLost
from stemline.jobs.job import Job
from stemline.jobs.states import State
from stemline.jobs.store import Reuse, Store
from stemline.jobs.usage import DAY_US
from stemline.testing import FixedClock
from tests.integration.jobs.contract import DONE, OTHER, TENANT, Make, spec

DIGEST = "d" * 64


def claimed(store: Store, **changes) -> Job:
    """A job that runs."""
    store.jobs.create([spec(**changes)])
    job = store.attempts.claim("w", [0])
    assert job is not None
    return job


def ask(store: Store, job: Job, digest: str = DIGEST, **options) -> Reuse:
    return store.attempts.reuse(job.id, job.token, digest, **options)


def test_the_first_of_equal_jobs_is_separated(store: Store) -> None:
    """Nobody did it: the job leads, also when it asks again after a lost answer."""
    job = claimed(store)
    assert [Reuse(), Reuse()] == [ask(store, job) for _ in range(2)]


def test_a_job_that_was_done_is_found(store: Store) -> None:
    """An equal job that was successful is named, until its stems are said to be useless."""
    first = claimed(store)
    ask(store, first)
    store.attempts.succeed(first, DONE, digest=DIGEST)
    second = claimed(store)
    assert Reuse(done=first.id) == ask(store, second)
    assert Reuse() == ask(store, second, "e" * 64)
    assert Reuse() == ask(store, second, without=first.id)
    store.attempts.succeed(second, DONE, digest=DIGEST)
    assert Reuse(done=second.id) == ask(store, claimed(store))


def test_nothing_is_found_across_tenants(store: Store) -> None:
    """A job of another bucket, done or running, is never named or waited for."""
    first = claimed(store)
    ask(store, first)
    other = claimed(store, tenant=OTHER)
    assert Reuse() == ask(store, other)
    store.attempts.succeed(first, DONE, digest=DIGEST)
    assert Reuse() == ask(store, other)


def test_a_job_without_a_digest_is_not_found(store: Store) -> None:
    """What was not said to be reusable is separated again, and so is what failed."""
    first = claimed(store)
    ask(store, first)
    store.attempts.succeed(first, DONE)
    second = claimed(store)
    assert Reuse() == ask(store, second)
    store.attempts.fail(second, "InternalError", "it broke")
    assert Reuse() == ask(store, claimed(store))


@pytest.mark.parametrize("end", ["succeed", "fail", "release", "cancel"])
def test_equal_jobs_wait_for_the_one_that_runs(make: Make, wake_ups, end: str) -> None:
    """They are in their queue, without a counted attempt, and go on as soon as the first one does not run."""
    store = make(queue_max_concurrent=3)
    first, second, third = (claimed(store) for _ in range(3))
    ask(store, first)
    assert [Reuse(waits=True)] * 2 == [ask(store, job) for job in (second, third)]
    waiting = store.jobs.get(TENANT, [second.id, third.id])
    shown = [(job.state, job.attempt, job.claims, job.position) for job in waiting]
    assert [(State.SUBMITTED, 0, 0, None)] * 2 == shown
    assert first.id in waiting[0].message
    assert store.attempts.claim("w", [0]) is None
    wake_ups.clear()
    match end:
        case "succeed":
            store.attempts.succeed(first, DONE, digest=DIGEST)
        case "fail":
            store.attempts.fail(first, "InvalidContent", "no sound")
        case "release":
            store.attempts.release(first, delay_s=60)
        case "cancel":
            store.jobs.cancel(TENANT, [first.id])
            store.attempts.confirm_cancel(first)
    assert {second.id, third.id} <= {each.job_id for each in wake_ups}
    again = store.attempts.claim("w", [0])
    assert (second.id, 1) == (again.id, again.attempt)
    assert Reuse(done=first.id if end == "succeed" else "") == ask(store, again)


def test_a_dead_leader_holds_nobody_up(make: Make, clock: FixedClock) -> None:
    """When the lease of the job that others wait for has run out, they go on."""
    store = make(lease_s=10)
    first, second = claimed(store), claimed(store)
    ask(store, first)
    ask(store, second)
    clock.advance(11)
    reclaimed = store.attempts.reclaim(first.id, "sweeper")
    store.attempts.release(reclaimed, counts=True)
    claims = [store.attempts.claim("w", [0]) for _ in range(2)]
    assert [first.id, second.id] == [job.id for job in claims]
    assert [Reuse(), Reuse(waits=True)] == [ask(store, job) for job in claims]


def test_nobody_waits_for_ever(make: Make, clock: FixedClock) -> None:
    """A job that waits for an equal one looks again after some minutes, and is never lost."""
    store = make(lease_s=10_000)
    first, second = claimed(store), claimed(store)
    ask(store, first)
    ask(store, second)
    clock.advance(301)
    store.jobs.promote()
    again = store.attempts.claim("w", [0])
    assert second.id == again.id
    assert Reuse(waits=True) == ask(store, again)


def test_a_waiting_job_can_be_cancelled(make: Make) -> None:
    """A cancel of a job that waits for an equal one ends it; the end of that one does not bring it back."""
    store = make()
    first, second = claimed(store), claimed(store)
    ask(store, first)
    ask(store, second)
    store.jobs.cancel(TENANT, [second.id])
    store.attempts.succeed(first, DONE, digest=DIGEST)
    assert State.CANCEL is store.jobs.find(second.id).state
    assert store.attempts.claim("w", [0]) is None


def test_a_stale_or_cancelled_attempt_learns_nothing(store: Store) -> None:
    """A stale token is refused, and a job that is to be cancelled neither leads nor waits."""
    job = claimed(store)
    with pytest.raises(LeaseLost):
        ask(store, replace(job, token=job.token + 1))
    store.jobs.cancel(TENANT, [job.id])
    with pytest.raises(CancelAsked):
        ask(store, job)


def test_a_job_past_its_retention_is_not_found(make: Make, clock: FixedClock) -> None:
    """What was deleted is separated again."""
    store = make(retention_days=1)
    first = claimed(store)
    ask(store, first)
    store.attempts.succeed(first, DONE, digest=DIGEST)
    clock.advance(2 * 86_400)
    store.jobs.prune()
    assert Reuse() == ask(store, claimed(store))


def test_a_copy_costs_no_audio(store: Store) -> None:
    """The usage of a job whose stems were copied has its stems, and no seconds of audio."""
    result = replace(DONE, audio_s=30.0, source_bytes=500)
    store.attempts.succeed(claimed(store), result)
    store.attempts.succeed(claimed(store), replace(result, reused="j" + "1" * 32))
    today = store.now() // DAY_US
    (row,) = store.usage.read(TENANT, today, today)
    assert (2, 30_000, 500, 2) == (row.succeeded, row.audio_ms, row.bytes_in, row.bytes_out)
    assert 1 == store.statistics.read().totals["reused"]
