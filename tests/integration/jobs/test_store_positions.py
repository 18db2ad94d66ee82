"""Positions and estimates of jobs, on a real Valkey and in memory."""

from __future__ import annotations

import random

import pytest

from stemline.jobs.states import QueueState
from stemline.jobs.store import JobFilter, QueueFilter, Store
from stemline.jobs.worker import Worker
from tests.integration.jobs.contract import DONE, SECOND, TENANT, spec


def positions(store: Store) -> dict[str, int]:
    found = store.jobs.search(TENANT, JobFilter(size=1000)).items
    return {job.id: job.position for job in found if job.position is not None}


@pytest.mark.shows("Position, EstimatedStartTime, EstimatedEndTime")
@pytest.mark.parametrize("ageing_s", [0.0, 10.0])
def test_positions_are_the_order_of_claims(make, clock, ageing_s):
    """Whatever the levels and ages of waiting jobs, the position is the turn in which each is claimed."""
    store = make(queue_max_concurrent=1000, level_ageing_s=ageing_s)
    rng = random.Random(3)
    for _ in range(60):
        store.jobs.create([spec(level=rng.randint(0, 2))])
        clock.advance(rng.choice([0, 1, 2, 7]))
    expected = positions(store)
    claimed = [store.attempts.claim("w", [0, 1, 2]).id for _ in range(60)]
    assert {job_id: number for number, job_id in enumerate(claimed, 1)} == expected


def test_positions_move_up(store):
    """A claim, a cancel and a higher level change the positions of those behind; running jobs have none."""
    first, second, third = (job.id for job in store.jobs.create([spec()] * 3))
    assert {first: 1, second: 2, third: 3} == positions(store)
    store.jobs.cancel(TENANT, [second])
    assert {first: 1, third: 2} == positions(store)
    (urgent,) = store.jobs.create([spec(level=2)])
    assert {urgent.id: 1, first: 2, third: 3} == positions(store)
    store.attempts.claim("w", [2])
    assert {first: 1, third: 2} == positions(store)
    assert store.jobs.find(urgent.id).position is None


def test_estimates_come_from_what_was_measured(store, clock):
    """After a job of ten seconds, the next ones are expected to take as long, one after the other."""
    store.workers.report(Worker("w", "separation", 1, (0, 1, 2), "cpu", "1", 5))
    (job,) = store.jobs.create([spec()])
    assert (clock(), None) == estimates(store, job.id)
    held = store.attempts.claim("w", [0])
    clock.advance(10)
    store.attempts.succeed(held, DONE)
    running, waiting = (job.id for job in store.jobs.create([spec()] * 2))
    store.attempts.claim("w", [0])
    assert (None, clock() + 10 * SECOND) == estimates(store, running)
    assert (clock() + 5 * SECOND, clock() + 15 * SECOND) == estimates(store, waiting)


def estimates(store: Store, job_id: str) -> tuple[int, int]:
    job = store.jobs.find(job_id)
    return job.estimated_start, job.estimated_end


def test_a_worker_says_when_it_will_end(store, clock):
    """What the worker expects is shown until the next attempt or the end; a missing value keeps the last."""
    (job,) = store.jobs.create([spec()])
    held = store.attempts.claim("w", [0])
    store.attempts.heartbeat(job.id, held.token, 50, remaining_s=42.5)
    store.attempts.heartbeat(job.id, held.token, 51)
    assert (None, clock() + 42_500_000) == estimates(store, job.id)
    store.attempts.release(held)
    again = store.attempts.claim("w", [0])
    assert (None, None) == estimates(store, job.id)
    store.attempts.heartbeat(job.id, again.token, 50, remaining_s=1)
    store.attempts.succeed(again, DONE)
    assert (None, None) == estimates(store, job.id)


def test_a_paused_queue_has_positions_and_no_estimates(store):
    """Nobody knows when a paused queue goes on."""
    (job,) = store.jobs.create([spec()])
    (queue,) = store.queues.search(TENANT, QueueFilter()).items
    store.queues.update(TENANT, queue.id, state=QueueState.PAUSED)
    assert 1 == store.jobs.find(job.id).position
    assert (None, None) == estimates(store, job.id)


def test_a_delayed_job_has_no_position(store, clock):
    """A released job that may not be claimed yet has no place among those that wait for their turn."""
    first, second = store.jobs.create([spec()] * 2)
    store.attempts.release(store.attempts.claim("w", [0]), delay_s=5)
    assert {second.id: 1} == positions(store)
    clock.advance(6)
    store.jobs.promote()
    assert {first.id: 1, second.id: 2} == positions(store)
