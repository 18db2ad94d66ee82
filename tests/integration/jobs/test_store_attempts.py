"""Contract of a job store: the life of an attempt, from its claim to the end of its job."""

from __future__ import annotations

import pytest

from stemline.jobs.errors import CancelAsked, LeaseLost
from stemline.jobs.states import State
from stemline.jobs.store import Store, WakeUp
from stemline.testing import FixedClock
from tests.integration.jobs.contract import DONE, SECOND, START, TENANT, spec, states


def test_one_way_through(store: Store, clock: FixedClock) -> None:
    """Submitted, Running, Success, with times, progress and result."""
    (job,) = store.jobs.create([spec()])
    clock.advance(1)
    claimed = store.attempts.claim("w1", [2, 1, 0])
    assert claimed is not None
    assert (job.id, State.RUNNING, "w1", 1, 1) == (
        claimed.id,
        claimed.state,
        claimed.worker,
        claimed.attempt,
        claimed.claims,
    )
    assert store.attempts.heartbeat(job.id, claimed.token, 40, "cpu") is False
    clock.advance(5)
    store.attempts.succeed(claimed, DONE)
    done = store.jobs.find(job.id)
    assert done is not None
    assert (
        done.state,
        done.started,
        done.ended,
        done.progress,
        done.device,
    ) == (State.SUCCESS, START + SECOND, START + 6 * SECOND, 100, "cpu")
    assert done.result == DONE
    assert store.attempts.claim("w1", [2, 1, 0]) is None


def test_cancel_running_is_confirmed_by_the_worker(store: Store) -> None:
    """A heartbeat reports the cancel of a running job, which cannot succeed any more and ends as Cancel."""
    (job,) = store.jobs.create([spec()])
    claimed = store.attempts.claim("w", [0])
    assert claimed is not None
    store.jobs.cancel(TENANT, [job.id])
    assert states(store, job.id) == [State.RUNNING]
    assert store.attempts.heartbeat(job.id, claimed.token, 1) is True
    with pytest.raises(CancelAsked):
        store.attempts.succeed(claimed, DONE)
    store.attempts.confirm_cancel(claimed)
    assert states(store, job.id) == [State.CANCEL]


def test_an_attempt_that_gave_its_job_back_does_not_end_it(store: Store) -> None:
    """Also where a client has cancelled the job since: that is no repetition of the attempt's own end."""
    (job,) = store.jobs.create([spec()])
    claimed = store.attempts.claim("w", [0])
    assert claimed is not None
    store.attempts.release(claimed)
    store.jobs.cancel(TENANT, [job.id])
    with pytest.raises(LeaseLost):
        store.attempts.confirm_cancel(claimed)
    assert states(store, job.id) == [State.CANCEL]


def test_a_stale_attempt_writes_nothing(store: Store, clock: FixedClock) -> None:
    """After its lease ran out and the job was reclaimed, each write of the old attempt is refused."""
    (job,) = store.jobs.create([spec()])
    old = store.attempts.claim("w1", [0])
    assert old is not None
    assert store.attempts.expired() == []
    clock.advance(21)
    assert [job.id] == store.attempts.expired()
    reclaimed = store.attempts.reclaim(job.id, "sweeper")
    assert reclaimed is not None
    assert store.attempts.reclaim(job.id, "other sweeper") is None
    for write in (
        lambda: store.attempts.heartbeat(job.id, old.token, 50),
        lambda: store.attempts.register_uploads(job.id, old.token, []),
        lambda: store.attempts.succeed(old, DONE),
        lambda: store.attempts.fail(old, "InternalError", "x"),
        lambda: store.attempts.confirm_cancel(old),
        lambda: store.attempts.release(old),
    ):
        with pytest.raises(LeaseLost):
            write()
    store.attempts.release(reclaimed, counts=True)
    new = store.attempts.claim("w2", [0])
    assert new is not None
    assert (job.id, 2) == (new.id, new.attempt)
    with pytest.raises(LeaseLost):
        store.attempts.succeed(old, DONE)
    store.attempts.succeed(new, DONE)


def test_a_worker_that_comes_back_in_time_keeps_its_job(store: Store, clock: FixedClock) -> None:
    """A heartbeat before the sweeper reclaims the job wins."""
    (job,) = store.jobs.create([spec()])
    claimed = store.attempts.claim("w1", [0])
    assert claimed is not None
    clock.advance(21)
    store.attempts.heartbeat(job.id, claimed.token, 10)
    assert store.attempts.reclaim(job.id, "sweeper") is None


def test_a_released_job_keeps_its_place(store: Store, wake_ups: list[WakeUp]) -> None:
    """A job released without blame goes to the front of its level, with its attempts as before."""
    jobs = store.jobs.create([spec(), spec()])
    claimed = store.attempts.claim("w", [0])
    assert claimed is not None
    wake_ups.clear()
    store.attempts.release(claimed)
    assert [WakeUp(0, jobs[0].id)] == wake_ups
    again = store.attempts.claim("w", [0])
    assert again is not None
    assert (jobs[0].id, 1, 2) == (again.id, again.attempt, again.claims)


def test_a_delayed_job_waits_its_time(store: Store, clock: FixedClock, wake_ups: list[WakeUp]) -> None:
    """A job released with a delay is claimed only after it, and can be cancelled meanwhile."""
    one, two = store.jobs.create([spec(), spec()])
    for _ in range(2):
        claimed = store.attempts.claim("w", [0])
        assert claimed is not None
        store.attempts.release(claimed, delay_s=10)
    store.jobs.promote()
    assert store.attempts.claim("w", [0]) is None
    store.jobs.cancel(TENANT, [two.id])
    clock.advance(11)
    wake_ups.clear()
    store.jobs.promote()
    assert [WakeUp(0, one.id)] == wake_ups
    claimed = store.attempts.claim("w", [0])
    assert claimed is not None
    assert one.id == claimed.id


def test_a_repeated_end_is_harmless(store: Store) -> None:
    """A repeated Success of the same attempt (its answer was lost) is accepted and changes nothing."""
    store.jobs.create([spec()])
    claimed = store.attempts.claim("w", [0])
    assert claimed is not None
    store.attempts.succeed(claimed, DONE)
    store.attempts.succeed(claimed, DONE)
    with pytest.raises(LeaseLost):
        store.attempts.fail(claimed, "x", "y")


@pytest.mark.parametrize("end", ["succeed", "fail", "confirm_cancel", "release"])
def test_an_attempt_leaves_no_uploads_on_the_record(store: Store, end: str) -> None:
    """However an attempt ends, what it registered is forgotten: the next one must not remove another's."""
    (job,) = store.jobs.create([spec()])
    claimed = store.attempts.claim("w", [0])
    assert claimed is not None
    store.attempts.register_uploads(job.id, claimed.token, [{"key": "a"}])
    registered = store.jobs.find(job.id)
    assert registered is not None
    assert [{"key": "a"}] == [dict(each) for each in registered.uploads]
    if end == "confirm_cancel":
        store.jobs.cancel(TENANT, [job.id])
    more = {"succeed": (DONE,), "fail": ("InternalError", "no")}.get(end, ())
    getattr(store.attempts, end)(claimed, *more)
    after = store.jobs.find(job.id)
    assert after is not None
    assert [] == list(after.uploads)


def test_why_a_job_waits_is_said_until_it_runs(store: Store, clock: FixedClock) -> None:
    """The reason of a release is the job's message while it waits, and is gone with the next claim."""
    (job,) = store.jobs.create([spec()])
    claimed = store.attempts.claim("w", [0])
    assert claimed is not None
    store.attempts.release(claimed, delay_s=10, reason="The bucket is away.")
    waiting = store.jobs.find(job.id)
    assert waiting is not None
    assert "The bucket is away." == waiting.message
    clock.advance(11)
    store.jobs.promote()
    again = store.attempts.claim("w", [0])
    assert again is not None
    assert ("", 0, "w") == (again.message, again.progress, again.worker)


def test_a_job_is_reclaimed_from_the_end_of_its_lease_on(store: Store, clock: FixedClock) -> None:
    """Not a moment before; never one that has ended, that waits again or that is unknown."""
    ended, waiting, running = store.jobs.create([spec() for _ in range(3)])
    first, second = store.attempts.claim("w", [0]), store.attempts.claim("w", [0])
    clock.advance(5)
    third = store.attempts.claim("w", [0])
    assert first is not None
    assert second is not None
    store.attempts.succeed(first, DONE)
    store.attempts.release(second)
    clock.advance(20 - 1e-6)
    assert third is not None
    assert [] == store.attempts.expired()
    assert store.attempts.reclaim(running.id, "sweeper") is None
    clock.advance(1e-6)
    assert [running.id] == store.attempts.expired()
    assert [None] * 3 == [
        store.attempts.reclaim(each, "s") for each in (ended.id, waiting.id, "j" + "0" * 32)
    ]
    reclaimed = store.attempts.reclaim(running.id, "sweeper")
    assert reclaimed is not None
    assert (running.id, "sweeper") == (reclaimed.id, reclaimed.worker)
    assert [] == store.attempts.expired()
