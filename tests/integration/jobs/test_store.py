"""Contract of a job store: submission, order, lists, cancelling, retention and numbers."""

from __future__ import annotations

import dataclasses

import pytest

from stemline.jobs.callback import CallbackRequest
from stemline.jobs.delivery import DeliveryAttempt
from stemline.jobs.errors import (
    AsrBucketUnBinded,
    IdempotencyConflict,
    IllegalTransition,
    QueueFull,
    QueueNotFound,
)
from stemline.jobs.states import QueueState, State
from stemline.jobs.store import Idempotency, JobFilter, QueueFilter, Store, WakeUp
from stemline.jobs.tenant import Tenant
from stemline.testing import FixedClock
from tests.integration.jobs.contract import DONE, OTHER, START, TENANT, Make, ended, spec, states


def test_a_job_is_stored_with_all_it_says(store: Store) -> None:
    """What is read back is what was submitted, in the state Submitted, in the tenant's own queue."""
    asked = spec("in/音 频+1.mp4", level=2, user_data="order 17", callback=CallbackRequest(url="http://a/b"))
    (job,) = store.jobs.create([asked])
    queue = store.queues.search(TENANT, QueueFilter()).items[0]
    assert dataclasses.replace(asked, queue_id=queue.id) == job.spec
    assert job.state == State.SUBMITTED
    assert job.created == START
    assert job == store.jobs.find(job.id)
    assert store.jobs.get(OTHER, [job.id]) == [None]


def test_creation_times_never_repeat(store: Store) -> None:
    """Jobs of one instant get increasing times, so that the time can be a cursor."""
    jobs = store.jobs.create([spec() for _ in range(5)]) + store.jobs.create([spec()])
    assert [START + i for i in range(6)] == [job.created for job in jobs]


def test_higher_level_first_then_oldest(store: Store) -> None:
    """A level-2 job behind hundreds of level 0 starts next; within a level the old order holds."""
    first = store.jobs.create([spec() for _ in range(300)])
    (urgent,) = store.jobs.create([spec(level=2)])
    claims = [store.attempts.claim("w", [0, 1, 2]) for _ in range(3)]
    assert [urgent.id, first[0].id, first[1].id] == [c.id for c in claims if c]


def test_dedicated_workers_serve_their_level_only(store: Store) -> None:
    """A worker of level 2 leaves level 0 alone."""
    store.jobs.create([spec(level=0)])
    assert store.attempts.claim("w", [2]) is None


def test_buckets_take_turns(make: Make) -> None:
    """One tenant's backlog does not block another's first job."""
    store = make(queue_max_concurrent=1000)
    mine = store.jobs.create([spec() for _ in range(50)])
    for _ in range(10):
        store.attempts.claim("w", [0])
    theirs = store.jobs.create([spec(tenant=OTHER) for _ in range(3)])
    claimed = [c.id for c in (store.attempts.claim("w", [0]) for _ in range(6)) if c]
    assert {j.id for j in theirs} < set(claimed)
    assert len(set(claimed) & {j.id for j in mine}) == 3


def test_buckets_that_wait_alternate(make: Make) -> None:
    """While both wait, no tenant is ever more than two claims ahead, whichever came first."""
    for behind, late in ((TENANT, OTHER), (OTHER, TENANT)):
        store = make(queue_max_concurrent=1000)
        store.jobs.create([spec(tenant=behind) for _ in range(40)])
        for _ in range(10):
            store.attempts.claim("w", [0])
        store.jobs.create([spec(tenant=late) for _ in range(10)])
        ahead = 0
        for _ in range(16):
            claimed = store.attempts.claim("w", [0])
            assert claimed is not None
            ahead += 1 if claimed.spec.tenant == behind else -1
            assert abs(ahead) <= 2


def test_missed_turns_are_not_made_up_for(make: Make) -> None:
    """A queue that was idle or paused gets its turn, not all those that passed meanwhile."""
    store = make(queue_max_concurrent=1000)
    (first,) = store.jobs.create([spec(tenant=OTHER)])
    store.jobs.create([spec() for _ in range(30)])
    store.queues.update(OTHER, first.spec.queue_id, state=QueueState.PAUSED)
    for _ in range(20):
        store.attempts.claim("w", [0])
    store.jobs.create([spec(tenant=OTHER) for _ in range(9)])
    store.queues.update(OTHER, first.spec.queue_id, state=QueueState.ACTIVE)
    claimed = [c.spec.tenant for c in (store.attempts.claim("w", [0]) for _ in range(8)) if c]
    assert 3 <= claimed.count(OTHER) <= 5


def test_ageing_lifts_old_jobs(make: Make, clock: FixedClock) -> None:
    """With ageing on, a level-0 job that waited long goes before a young one of level 1."""
    store = make(level_ageing_s=60)
    (old,) = store.jobs.create([spec(level=0)])
    clock.advance(121)
    store.jobs.create([spec(level=1)])
    claimed = store.attempts.claim("w", [2, 1, 0])
    assert claimed is not None
    assert old.id == claimed.id


def test_max_concurrent_holds_over_all_workers(make: Make, wake_ups: list[WakeUp]) -> None:
    """No more jobs of a queue run than it allows; the end of one sends a wake-up for the next."""
    store = make(queue_max_concurrent=2)
    jobs = store.jobs.create([spec() for _ in range(4)])
    assert [WakeUp(0, jobs[0].id), WakeUp(0, jobs[1].id)] == wake_ups
    one, two, three = (store.attempts.claim(f"w{i}", [0]) for i in range(3))
    assert one
    assert two
    assert three is None
    wake_ups.clear()
    store.attempts.succeed(one, DONE)
    assert [WakeUp(0, jobs[2].id)] == wake_ups
    assert store.attempts.claim("w", [0]) is not None
    assert store.attempts.claim("w", [0]) is None


def test_pause_and_resume(store: Store, wake_ups: list[WakeUp]) -> None:
    """Waiting jobs of a paused queue show Pause and stay; resumed, they go on in their old order."""
    jobs = store.jobs.create([spec() for _ in range(3)])
    queue = jobs[0].spec.queue_id
    running = store.attempts.claim("w", [0])
    store.queues.update(TENANT, queue, state=QueueState.PAUSED)
    (late,) = store.jobs.create([spec()])
    ids = [j.id for j in jobs] + [late.id]
    assert states(store, *ids) == [State.RUNNING, State.PAUSE, State.PAUSE, State.PAUSE]
    assert store.attempts.claim("w", [0]) is None
    assert running is not None
    store.attempts.succeed(running, DONE)
    wake_ups.clear()
    store.queues.update(TENANT, queue, state=QueueState.ACTIVE)
    assert [WakeUp(0, i) for i in ids[1:]] == wake_ups
    assert ids[1:] == [c.id for c in (store.attempts.claim("w", [0]) for _ in range(3)) if c]


def test_cancel_waiting(store: Store) -> None:
    """A waiting job becomes Cancel at once, again without harm, and is never claimed."""
    (job,) = store.jobs.create([spec(callback=CallbackRequest(url="http://a/"))])
    store.jobs.cancel(TENANT, [job.id])
    store.jobs.cancel(TENANT, [job.id])
    assert states(store, job.id) == [State.CANCEL]
    assert store.attempts.claim("w", [0]) is None
    assert store.outbox.for_job(job.id) is None


def test_cancel_is_all_or_nothing(store: Store) -> None:
    """One finished job among several refuses the whole request."""
    done, waiting = store.jobs.create([spec(), spec()])
    claimed = store.attempts.claim("w", [0])
    assert claimed is not None
    store.attempts.succeed(claimed, DONE)
    with pytest.raises(IllegalTransition):
        store.jobs.cancel(TENANT, [waiting.id, done.id])
    assert states(store, waiting.id) == [State.SUBMITTED]


def test_vendor_behaviour_refuses_cancel_of_running(make: Make) -> None:
    """With cancel_running off, a running job cannot be cancelled."""
    store = make(cancel_running=False)
    (job,) = store.jobs.create([spec()])
    store.attempts.claim("w", [0])
    with pytest.raises(IllegalTransition):
        store.jobs.cancel(TENANT, [job.id])


def test_idempotency(store: Store) -> None:
    """The same key and body give the first answer again; another body is a conflict."""
    first = store.jobs.create([spec()], idempotency=Idempotency("k", "body"))
    again = store.jobs.create([spec()], idempotency=Idempotency("k", "body"))
    assert [j.id for j in first] == [j.id for j in again]
    assert first == store.jobs.repeated(TENANT, Idempotency("k", "body"))
    assert store.jobs.repeated(TENANT, Idempotency("unknown", "body")) is None
    with pytest.raises(IdempotencyConflict):
        store.jobs.create([spec()], idempotency=Idempotency("k", "other"))
    with pytest.raises(IdempotencyConflict):
        store.jobs.repeated(TENANT, Idempotency("k", "other"))


def test_limits_of_submission(make: Make) -> None:
    """A closed bucket, an unknown queue and a full queue refuse, and nothing is stored."""
    store = make(auto_open=False, queue_max_size=2)
    with pytest.raises(AsrBucketUnBinded):
        store.jobs.create([spec()])
    store.tenants.open(TENANT)
    with pytest.raises(QueueNotFound):
        store.jobs.create([spec(queue_id="p" + "0" * 32)])
    store.jobs.create([spec()])
    with pytest.raises(QueueFull):
        store.jobs.create([spec(), spec()])
    assert len(store.jobs.search(TENANT, JobFilter()).items) == 1


@pytest.mark.parametrize("order", ["Desc", "Asc"])
def test_paging_is_stable_while_jobs_arrive(store: Store, order: str) -> None:
    """Pages of one show every old job once, whatever arrives in between."""
    ids = [j.id for j in store.jobs.create([spec() for _ in range(7)])]
    seen, cursor = [], None
    while True:
        page = store.jobs.search(TENANT, JobFilter(size=2, order=order, cursor=cursor))
        seen += [j.id for j in page.items]
        store.jobs.create([spec()]) if len(seen) < 6 else None
        cursor = page.cursor
        if cursor is None:
            break
    expected = ids if order == "Asc" else ids[::-1]
    assert expected == [i for i in seen if i in ids]
    assert len(seen) == len(set(seen))


def test_list_filters(store: Store, clock: FixedClock) -> None:
    """State as seen, queue, time bounds (inclusive) and input object each narrow the list."""
    (a,) = store.jobs.create([spec("a")])
    clock.advance(10)
    (b,) = store.jobs.create([spec("b")])
    claimed = store.attempts.claim("w", [0])
    assert claimed is not None
    store.attempts.succeed(claimed, DONE)
    queue = a.spec.queue_id

    def ids(**which) -> list[str]:
        return [j.id for j in store.jobs.search(TENANT, JobFilter(**which)).items]

    assert [b.id, a.id] == ids()
    assert [a.id] == ids(states=frozenset({State.SUCCESS}))
    assert [b.id] == ids(states=frozenset({State.SUBMITTED, State.PAUSE, State.FAILED}))
    store.queues.update(TENANT, queue, state=QueueState.PAUSED)
    assert ids(states=frozenset({State.SUBMITTED})) == []
    assert [b.id] == ids(states=frozenset({State.PAUSE}))
    assert [b.id] == ids(start=b.created)
    assert [a.id] == ids(end=a.created)
    assert [b.id] == ids(input_object="b")
    assert ids(input_object="") == []
    assert ids(queue_id="p0") == []
    assert [b.id, a.id] == ids(queue_id=queue)


def test_retention(store: Store, clock: FixedClock) -> None:
    """Ended jobs and their callbacks go after their time; waiting jobs never."""
    (kept,) = store.jobs.create([spec()])
    store.queues.update(TENANT, kept.spec.queue_id, max_concurrent=1)
    (gone,) = store.jobs.create([spec(level=1, callback=CallbackRequest(url="http://a/"))])
    claimed = store.attempts.claim("w", [1])
    assert claimed is not None
    store.attempts.succeed(claimed, DONE)
    clock.advance(89 * 86_400)
    assert store.jobs.prune() == 0
    clock.advance(2 * 86_400)
    assert store.jobs.prune() == 1
    assert store.jobs.find(gone.id) is None
    assert store.outbox.for_job(gone.id) is None
    assert store.outbox.due() == []
    assert [kept.id] == [j.id for j in store.jobs.search(TENANT, JobFilter()).items]


def test_retention_counts_from_the_end(store: Store, clock: FixedClock) -> None:
    """A job that waited for months is kept as long after its end as any other."""
    (job,) = store.jobs.create([spec()])
    clock.advance(80 * 86_400)
    claimed = store.attempts.claim("w", [0])
    assert claimed is not None
    store.attempts.succeed(claimed, DONE)
    clock.advance(89 * 86_400)
    assert store.jobs.prune() == 0
    assert store.jobs.find(job.id) is not None
    clock.advance(2 * 86_400)
    assert store.jobs.prune() == 1


def test_startable_jobs(make: Make) -> None:
    """As many wake-ups as jobs of the level could start: of active queues, within max_concurrent."""
    store = make(queue_max_concurrent=2)
    mine = store.jobs.create([spec() for _ in range(3)])
    theirs = store.jobs.create([spec(tenant=OTHER), spec(tenant=OTHER, level=1)])
    found = store.jobs.startable(0, 10)
    assert {WakeUp(0, job.id) for job in (*mine[:2], theirs[0])} == set(found)
    assert 2 == len(store.jobs.startable(0, 2))
    store.queues.update(TENANT, mine[0].spec.queue_id, state=QueueState.PAUSED)
    assert [WakeUp(0, theirs[0].id)] == store.jobs.startable(0, 10)


def test_statistics(make: Make, clock: FixedClock) -> None:
    """The numbers for metrics agree with what happened."""
    store = make(queue_max_concurrent=5)
    delivery = ended(store)
    jobs = store.jobs.create([spec(level=level) for level in (0, 0, 1, 2)])
    (paused,) = store.jobs.create([spec(tenant=OTHER)])
    store.queues.update(OTHER, paused.spec.queue_id, state=QueueState.PAUSED)
    assert store.attempts.claim("w", [2]) is not None
    released = store.attempts.claim("w", [1])
    assert released is not None
    store.attempts.release(released, delay_s=60)
    clock.advance(21)
    found = store.statistics.read()
    states = {State.SUCCESS: 1, State.SUBMITTED: 3, State.RUNNING: 1, State.PAUSE: 1}
    assert {state: states.get(state, 0) for state in State} == found.states
    loads = {load.tenant: load for load in found.queues}
    mine, theirs = loads[TENANT], loads[OTHER]
    assert ((2, 0, 0), 1, 5, False) == (mine.waiting, mine.running, mine.max_concurrent, mine.paused)
    all_queues = found.totals_of_queues
    assert (jobs[0].created, None, None) == all_queues.oldest
    assert ((3, 0, 0), (2, 0, 0)) == (all_queues.waiting, all_queues.startable)
    assert (2, 1, 10, 1) == (
        all_queues.queues,
        all_queues.paused,
        all_queues.max_concurrent,
        all_queues.running,
    )
    assert ((1, 0, 0), 0, True) == (theirs.waiting, theirs.running, theirs.paused)
    assert (clock.now, 1, 1) == (found.at, found.delayed, found.expired_leases)
    callbacks = found.callbacks
    assert (1, 1, START, 0) == (callbacks.pending, callbacks.due, callbacks.oldest_due, callbacks.dead)
    gone = DeliveryAttempt(clock.now, "410", 1)
    store.outbox.record(delivery, gone, next_due=None, status="dead")
    store.attempts.reclaim(store.attempts.expired()[0], "sweeper")
    totals = {"created": 6, "ended:Success": 1, "leases_lost": 1, "callback_tries": 1, "callbacks:dead": 1}
    totals |= {"audio_ms": 0, "bytes_in": 0, "bytes_out": 1, "work_ms:": 0}
    totals |= {"audio_ms_of:AudioAndBackground": 0, "work_ms_of:AudioAndBackground": 0}
    assert totals == store.statistics.read().totals


def test_waiting_jobs_of_every_level_count(make: Make) -> None:
    """A paused queue's jobs show Pause whatever their level, and make it as busy as others."""
    store = make()
    jobs = store.jobs.create([spec(level=level) for level in (0, 1, 2, 2)])
    store.jobs.create([spec(tenant=OTHER) for _ in range(3)])
    store.queues.update(TENANT, jobs[0].spec.queue_id, state=QueueState.PAUSED)
    found = store.statistics.read()
    assert (4, 3) == (found.states[State.PAUSE], found.states[State.SUBMITTED])
    assert [(TENANT, (1, 1, 2)), (OTHER, (3, 0, 0))] == [(load.tenant, load.waiting) for load in found.queues]


def test_the_room_of_a_queue_counts_once(make: Make) -> None:
    """With room for three and jobs of every level, three can start, those of the highest level first."""
    store = make(queue_max_concurrent=3)
    store.jobs.create([spec(level=level) for level in (0, 0, 0, 1, 1, 2, 2)])
    assert (0, 1, 2) == store.statistics.read().totals_of_queues.startable
    assert store.attempts.claim("w", [2]) is not None
    assert (0, 1, 1) == store.statistics.read().totals_of_queues.startable


def test_only_the_busiest_queues_are_described(make: Make) -> None:
    """The totals contain all queues, the list only the busiest."""
    store = make()
    for index in range(5):
        tenant = Tenant(f"b{index}-1250000000", "ap-chongqing")
        store.jobs.create([spec(tenant=tenant) for _ in range(index + 1)])
    found = store.statistics.read(2)
    assert [5, 4] == [load.jobs for load in found.queues]
    assert (5, (15, 0, 0)) == (found.totals_of_queues.queues, found.totals_of_queues.waiting)
    assert () == store.statistics.read(0).queues
