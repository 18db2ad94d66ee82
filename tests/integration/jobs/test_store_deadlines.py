"""When jobs may start and when they are too late, on a real Valkey and in memory."""

from __future__ import annotations

import pytest

from stemline.jobs.errors import LeaseLost, QueueFull
from stemline.jobs.states import QueueState, State
from stemline.jobs.store import QueueFilter, Store
from tests.integration.jobs.contract import DONE, SECOND, TENANT, spec, states


def test_a_job_is_claimed_from_its_time_on(store, clock, wake_ups):
    """A job that may not start yet is not claimed and wakes nobody; once it may, it has its old place."""
    (later,) = store.jobs.create([spec(not_before=clock() + 10 * SECOND)])
    (now,) = store.jobs.create([spec()])
    assert [now.id] == [wake_up.job_id for wake_up in wake_ups]
    assert State.SUBMITTED == store.jobs.find(later.id).state
    assert store.jobs.find(later.id).position is None
    assert now.id == store.attempts.claim("w", [0]).id
    clock.advance(9.9)
    store.jobs.promote()
    assert store.attempts.claim("w", [0]) is None
    (last,) = store.jobs.create([spec()])
    clock.advance(0.1)
    store.jobs.promote()
    assert later.id in [wake_up.job_id for wake_up in wake_ups]
    assert [later.id, last.id] == [store.attempts.claim("w", [0]).id for _ in range(2)]


def test_jobs_of_a_later_time_count_for_the_queue(make, clock):
    """A queue limits jobs that may not start yet too, also after some were cancelled or started."""
    store = make(queue_max_size=2)
    jobs = [store.jobs.create([spec(not_before=clock() + SECOND)])[0] for _ in range(2)]
    with pytest.raises(QueueFull):
        store.jobs.create([spec()])
    store.jobs.cancel(TENANT, [jobs[0].id])
    store.jobs.create([spec()])
    clock.advance(2)
    store.jobs.promote()
    with pytest.raises(QueueFull):
        store.jobs.create([spec()])
    store.attempts.claim("w", [0])
    store.jobs.create([spec()])


@pytest.mark.shows("NotBefore, Deadline, Timeout")
def test_a_late_job_is_cancelled_with_a_code_of_its_own(store, clock):
    """A waiting job is cancelled at its deadline and not before; it leaves an event and is not claimed."""
    (job,) = store.jobs.create([spec(deadline=clock() + 5 * SECOND)])
    (other,) = store.jobs.create([spec()])
    begin, _ = store.events.begin(TENANT)
    clock.advance(4.9)
    store.jobs.expire()
    assert [State.SUBMITTED] * 2 == states(store, job.id, other.id)
    clock.advance(0.1)
    store.jobs.expire()
    late = store.jobs.find(job.id)
    assert (State.CANCEL, "DeadlineExceeded", clock()) == (late.state, late.code, late.ended)
    assert late.message
    assert [("Cancel", "DeadlineExceeded")] == [(e.state, e.code) for e in store.events.read(TENANT, begin)]
    assert other.id == store.attempts.claim("w", [0]).id


def test_a_claim_never_starts_a_late_job(store, clock):
    """Where nobody looked at the deadlines, a claim passes late jobs over and cancels them."""
    late = [job.id for job in store.jobs.create([spec(deadline=clock() + SECOND)] * 3)]
    (good,) = store.jobs.create([spec(level=0)])
    clock.advance(1)
    assert good.id == store.attempts.claim("w", [0, 1, 2]).id
    assert [State.CANCEL] * 3 == states(store, *late)
    assert store.attempts.claim("w", [0]) is None


def test_a_paused_job_has_its_deadline(store, clock):
    """A job of a paused queue is cancelled at its deadline, and so is one that may not start yet."""
    (first,) = store.jobs.create([spec(deadline=clock() + SECOND)])
    (second,) = store.jobs.create([spec(not_before=clock() + 9 * SECOND, deadline=clock() + SECOND)])
    (queue,) = store.queues.search(TENANT, QueueFilter()).items
    store.queues.update(TENANT, queue.id, state=QueueState.PAUSED)
    clock.advance(1)
    store.jobs.expire()
    assert [State.CANCEL] * 2 == states(store, first.id, second.id)
    clock.advance(9)
    store.queues.update(TENANT, queue.id, state=QueueState.ACTIVE)
    store.jobs.promote()
    assert store.attempts.claim("w", [0]) is None


def test_a_running_job_has_met_its_deadline(store, clock):
    """A job that started in time goes on after its deadline, and may succeed."""
    (job,) = store.jobs.create([spec(deadline=clock() + SECOND)])
    held = store.attempts.claim("w", [0])
    clock.advance(5)
    store.jobs.expire()
    store.attempts.succeed(held, DONE)
    assert [State.SUCCESS] == states(store, job.id)


@pytest.mark.parametrize("delay_s", [0.0, 3.0])
@pytest.mark.parametrize("looked", [True, False])
def test_a_released_job_is_cancelled_if_it_is_late(store: Store, clock, delay_s, looked):
    """A job whose attempt is given back waits again: past its deadline it is cancelled at once."""
    (job,) = store.jobs.create([spec(deadline=clock() + 5 * SECOND)])
    held = store.attempts.claim("w", [0])
    clock.advance(1)
    store.attempts.release(held, delay_s=delay_s)
    assert [State.SUBMITTED] == states(store, job.id)
    clock.advance(3)
    store.jobs.promote()
    held = store.attempts.claim("w", [0])
    clock.advance(2)
    if looked:
        store.jobs.expire()
    store.attempts.release(held, delay_s=delay_s)
    assert "DeadlineExceeded" == store.jobs.find(job.id).code
    with pytest.raises(LeaseLost):
        store.attempts.heartbeat(job.id, held.token, 1)


def test_times_are_kept_with_the_job(store, clock):
    """What a job says about its times is read back as it was given."""
    asked = spec(not_before=clock() + SECOND, deadline=clock() + 9 * SECOND, timeout_s=30)
    (job,) = store.jobs.create([asked])
    found = store.jobs.find(job.id).spec
    assert (asked.not_before, asked.deadline, 30) == (found.not_before, found.deadline, found.timeout_s)
