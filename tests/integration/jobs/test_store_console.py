"""Contract of a job store: jobs by their place, and the numbers of one tenant."""

from __future__ import annotations

from stemline.jobs.states import QueueState, State
from stemline.jobs.store import QueueFilter, Store
from stemline.testing import FixedClock
from tests.integration.jobs.contract import DONE, OTHER, TENANT, spec


def test_jobs_by_place(store: Store, clock: FixedClock) -> None:
    """Jobs are found by their place from the newest, in all states or in one, with how many there are."""
    made = []
    for number in range(5):
        clock.advance(1)
        made += store.jobs.create([spec(f"in/{number}.mp3")])
    store.jobs.create([spec(tenant=OTHER)])
    ids = [job.id for job in reversed(made)]

    def browse(state: State | None, offset: int, size: int) -> tuple[list[str], int]:
        found = store.jobs.browse(TENANT, state, offset=offset, size=size)
        return [job.id for job in found.items], found.total

    assert (ids[:2], 5) == browse(None, 0, 2)
    assert (ids[3:], 5) == browse(None, 3, 10)
    assert ([], 5) == browse(None, 5, 10)
    assert 1 == store.jobs.browse(TENANT, None, offset=4, size=1).items[0].position
    claimed = store.attempts.claim("w", [0])
    assert claimed is not None
    assert ([claimed.id], 1) == browse(State.RUNNING, 0, 10)
    (queue,) = store.queues.search(TENANT, QueueFilter()).items
    store.queues.update(TENANT, queue.id, state=QueueState.PAUSED)
    assert (ids[:4], 4) == browse(State.PAUSE, 0, 10) == browse(State.SUBMITTED, 0, 10)
    shown = store.jobs.browse(TENANT, State.PAUSE, offset=0, size=1).items[0]
    assert State.PAUSE is shown.state


def test_numbers_of_a_tenant(store: Store, clock: FixedClock) -> None:
    """Jobs are counted by state, and in each queue by level, with the oldest that waits and those put off."""
    assert store.statistics.of_tenant(TENANT).queues == ()
    made = store.jobs.create([spec(level=level) for level in (0, 0, 2)])
    store.jobs.create([spec(tenant=OTHER)])
    clock.advance(1)
    store.jobs.create([spec()])
    claimed = store.attempts.claim("w", [2])
    assert claimed is not None
    load = store.statistics.of_tenant(TENANT)
    (queue,) = load.queues
    assert ((3, 0, 0), 1) == (queue.waiting, queue.running)
    assert {queue.id: made[0].created} == load.oldest
    assert (3, 1, 0) == tuple(load.states[each] for each in (State.SUBMITTED, State.RUNNING, State.PAUSE))
    store.attempts.succeed(claimed, DONE)
    assert {queue.id: 0} == load.later
    store.jobs.create([spec(not_before=store.now() + 10**9)])
    store.queues.update(TENANT, queue.id, state=QueueState.PAUSED)
    load = store.statistics.of_tenant(TENANT)
    assert load.queues[0].paused
    assert ((3, 0, 0), {queue.id: 1}) == (load.queues[0].waiting, load.later)
    assert (0, 4, 1) == tuple(load.states[each] for each in (State.SUBMITTED, State.PAUSE, State.SUCCESS))
