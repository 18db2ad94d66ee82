"""Contract of a job store: who is served in which proportion, on a real Valkey and in memory."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest

from stemline.jobs.job import Hop, JobSpec
from stemline.jobs.queue import Override, Reserved
from stemline.jobs.share import Share
from stemline.jobs.states import QueueState, State
from stemline.jobs.store import JobFilter, QueueFilter, Store
from stemline.jobs.store.scripts import SHARES_COUNTED
from stemline.testing import FixedClock
from tests.integration.jobs.contract import DONE, OTHER, SECOND, TENANT, Make, spec


def of(credential: str, weight: int | None, **changes) -> JobSpec:
    """A job of a credential that may have a weight."""
    return replace(spec(**changes), credential=credential, weight=weight)


def queue_id(store: Store, tenant=TENANT) -> str:
    return store.queues.search(tenant, QueueFilter()).items[0].id


def claims(store: Store, count: int) -> list[JobSpec]:
    found = [store.attempts.claim("w", [0, 1, 2]) for _ in range(count)]
    return [job.spec for job in found if job is not None]


def positions(store: Store) -> dict[str, int]:
    found = store.jobs.search(TENANT, JobFilter(size=1000)).items
    return {job.id: job.position for job in found if job.position is not None}


@pytest.mark.parametrize("weight", [25, 50, 100, 300])
def test_queues_are_served_in_proportion_to_their_weights(make: Make, weight: int) -> None:
    """Over any stretch of claims a queue gets its share, a job more or less, and no queue waits for long."""
    store = make(queue_max_concurrent=1000)
    store.jobs.create([spec() for _ in range(80)])
    store.jobs.create([spec(tenant=OTHER) for _ in range(80)])
    store.queues.update(OTHER, queue_id(store, OTHER), weight=weight)
    served = [claimed.tenant for claimed in claims(store, 80)]
    assert 80 == len(served)
    for number in range(1, 81):
        assert abs(number * weight / (weight + 100) - served[:number].count(OTHER)) <= 1.01


def test_a_weight_counts_at_once(make: Make) -> None:
    """A queue that was served rarely because of its weight is served by a new one from the next claims on."""
    store = make(queue_max_concurrent=1000)
    store.jobs.create([spec() for _ in range(90)])
    store.jobs.create([spec(tenant=OTHER) for _ in range(90)])
    other = queue_id(store, OTHER)
    store.queues.update(OTHER, other, weight=1)
    claims(store, 10)
    store.queues.update(OTHER, other, weight=300)
    assert 6 <= Counter(claimed.tenant for claimed in claims(store, 8))[OTHER] <= 7


@pytest.mark.parametrize("seed", range(3))
def test_credentials_share_a_queue_by_their_weights(make: Make, seed: int) -> None:
    """Each share gets its part of every stretch of claims, and each position is the turn of the claim."""
    store, rng = make(queue_max_concurrent=1000), random.Random(seed)
    weights = {"": None, **{f"AKID{i}": rng.choice([10, 33, 100, 250, 1000]) for i in range(3)}}
    parts = {share: weight or 100 for share, weight in weights.items()}
    order = [share for share in weights for _ in range(30)]
    rng.shuffle(order)
    for share in order:
        store.jobs.create([of(share or "AKIDcommon", weights[share])])
    for _ in range(rng.randint(0, 10)):
        store.attempts.claim("w", [0])
    expected = positions(store)
    got: Counter[str] = Counter()
    for number in range(1, 101):
        job = store.attempts.claim("w", [0])
        assert job is not None
        assert number == expected.pop(job.id)
        got[job.spec.share] += 1
        if max(got.values()) >= 20:  # one of them may have no more
            break
        total = sum(parts.values())
        for share, part in parts.items():
            assert abs(number * part / total - got[share]) <= 2 + part / total


def test_positions_among_many_shares_are_nearly_the_order_of_claims(make: Make) -> None:
    """With more shares than are counted one by one, positions are an estimate that is a tenth off at most."""
    rng = random.Random(5)
    store = make(queue_max_size=2000, queue_max_concurrent=2000)
    for number in range(SHARES_COUNTED + 50):
        weight = rng.choice([50, 100, 200])
        store.jobs.create([of(f"AKID{number}", weight) for _ in range(rng.choice([1, 2]))])
    store.jobs.create([of("AKIDcommon", None), of("AKIDcommon", None)])
    expected = positions(store)
    for number in range(1, len(expected) + 1):
        job = store.attempts.claim("w", [0])
        assert job is not None
        assert abs(number - expected[job.id]) <= len(expected) / 10
    assert max(expected.values()) <= len(expected)


def test_jobs_of_one_share_keep_their_order(make: Make) -> None:
    """Within its share, a credential's jobs start in the order in which they were submitted."""
    store = make(queue_max_concurrent=1000)
    for number in range(30):
        store.jobs.create([of("AKIDone" if number % 3 else "AKIDtwo", 200, name=f"{number:02}")])
    names: dict[str, list[str]] = {"AKIDone": [], "AKIDtwo": []}
    for claimed in claims(store, 30):
        names[claimed.share].append(claimed.input_object)
    assert all(sorted(found) == found for found in names.values())
    assert 30 == sum(map(len, names.values()))


def test_no_share_makes_up_for_turns_it_did_not_need(make: Make) -> None:
    """A credential that was idle gets its part from then on, and not what passed meanwhile."""
    store = make(queue_max_concurrent=1000)
    store.jobs.create([of("AKIDone", 100) for _ in range(60)])
    claims(store, 40)
    store.jobs.create([of("AKIDtwo", 100) for _ in range(20)])
    assert 4 <= Counter(claimed.share for claimed in claims(store, 10))["AKIDtwo"] <= 6


def test_a_common_share_has_no_more_than_its_part(make: Make) -> None:
    """Credentials without a weight wait together: as many as they are, a weighted one has its own turns."""
    store = make(queue_max_concurrent=1000)
    store.jobs.create([of(f"AKID{n}", None) for n in range(40)])
    store.jobs.create([of("AKIDweighted", 100) for _ in range(10)])
    assert 5 == Counter(claimed.share for claimed in claims(store, 10))["AKIDweighted"]


def test_positions_hold_whatever_happens_to_jobs(make: Make, clock: FixedClock) -> None:
    """After cancels, releases, delays, pauses and level changes, positions are still the turns of claims."""
    store, rng = make(queue_max_concurrent=1000), random.Random(7)
    running, ids = [], []
    for _ in range(150):
        clock.advance(1)
        what = rng.random()
        if what < 0.5:
            weight = rng.choice([None, 40, 100, 333])
            hop = Hop(rng.randint(1, 30), rng.randint(0, 2)) if rng.random() < 0.2 else None
            level = rng.choice([0, 0, 1, 2])
            ids += [job.id for job in store.jobs.create([of(f"AKID{weight}", weight, level=level, hop=hop)])]
        elif what < 0.7 and (job := store.attempts.claim("w", [0, 1, 2])) is not None:
            running.append(job)
        elif what < 0.8 and running:
            store.attempts.release(running.pop(), delay_s=rng.choice([0, 5]))
        elif what < 0.9 and ids:
            job = store.jobs.find(ids.pop(rng.randrange(len(ids))))
            if job.state is State.SUBMITTED:
                store.jobs.cancel(TENANT, [job.id])
        store.jobs.promote()
    clock.advance(60)
    store.jobs.promote()
    expected = positions(store)
    assert len(expected) > 20
    claimed = [store.attempts.claim("w", [0, 1, 2]).id for _ in expected]
    assert {job_id: number for number, job_id in enumerate(claimed, 1)} == expected
    assert store.attempts.claim("w", [0, 1, 2]) is None


def test_a_share_has_another_weight_for_a_time(make: Make, clock: FixedClock) -> None:
    """An override of a share counts until its end, also for jobs that wait already."""
    store = make(queue_max_concurrent=1000)
    assert store.shares.get("AKIDone") is None
    for credential in ("AKIDone", "AKIDtwo"):
        store.jobs.create([of(credential, 100) for _ in range(60)])
    store.shares.override("AKIDone", 300, clock() + 60 * SECOND)
    assert Share("AKIDone", 100, 300, clock() + 60 * SECOND) == store.shares.get("AKIDone")
    assert 14 <= Counter(claimed.share for claimed in claims(store, 20))["AKIDone"] <= 16
    clock.advance(60)
    assert Share("AKIDone", 100) == store.shares.get("AKIDone")
    assert 9 <= Counter(claimed.share for claimed in claims(store, 20))["AKIDone"] <= 11


def test_slots_are_kept_for_a_level(make: Make) -> None:
    """Lower levels leave the reserved slots free; the level that they are for takes them first."""
    store = make(queue_max_concurrent=5)
    store.jobs.create([spec() for _ in range(9)])
    store.queues.update(TENANT, queue_id(store), reserved=Reserved(1, 2))
    assert (2, 0, 0) == store.statistics.read().totals_of_queues.startable
    assert [0, 0] == [claimed.level for claimed in claims(store, 9)]
    assert [] == store.jobs.startable(0, 9)
    store.jobs.create([spec(level=1) for _ in range(3)])
    assert [1] == [claimed.level for claimed in claims(store, 9)]
    store.jobs.create([spec(level=2) for _ in range(5)])
    assert (0, 0, 2) == store.statistics.read().totals_of_queues.startable
    assert [2, 2] == [claimed.level for claimed in claims(store, 9)]


def test_a_level_above_may_take_every_slot(make: Make) -> None:
    """Reserved slots that their level uses are not kept a second time, and the levels above may use more."""
    store = make(queue_max_concurrent=4)
    store.jobs.create([spec(level=2) for _ in range(3)])
    store.queues.update(TENANT, queue_id(store), reserved=Reserved(0, 2))
    taken = [store.attempts.claim("w", [2]) for _ in range(3)]
    store.jobs.create([spec() for _ in range(3)])
    assert [0] == [claimed.level for claimed in claims(store, 3)]
    store.attempts.succeed(taken.pop(), DONE)
    assert [0] == [claimed.level for claimed in claims(store, 3)]
    store.attempts.succeed(taken.pop(), DONE)
    assert [] == claims(store, 3)


def test_one_slot_is_never_reserved(make: Make) -> None:
    """Reserved slots that are too many for the queue still leave one, so that no level waits for ever."""
    store = make(queue_max_concurrent=1)
    (job,) = store.jobs.create([spec()])
    store.queues.update(TENANT, queue_id(store), reserved=Reserved(3, 3))
    assert [0] == [claimed.level for claimed in claims(store, 2)]
    assert State.RUNNING is store.jobs.find(job.id).state


def test_limits_of_a_queue_hold_for_a_time(make: Make, clock: FixedClock) -> None:
    """Temporary limits hold from the change on and end to the second, without any process that ends them."""
    store = make(queue_max_concurrent=2)
    store.jobs.create([spec() for _ in range(9)])
    queue = queue_id(store)
    override = Override(clock() + 60 * SECOND, max_concurrent=5, weight=300)
    changed = store.queues.update(TENANT, queue, override=override)
    assert (2, 5, 100, 300) == (changed.max_concurrent, changed.slots, changed.weight, changed.turns)
    assert override == changed.override
    assert 5 == len(claims(store, 9))
    assert 3 == store.queues.update(TENANT, queue, max_concurrent=3).max_concurrent
    clock.advance(60)
    assert [] == claims(store, 1)
    after = store.queues.search(TENANT, QueueFilter()).items[0]
    assert (3, 3, 100, None) == (after.max_concurrent, after.slots, after.turns, after.override)


def test_the_end_of_temporary_limits_wakes_workers(make: Make, clock: FixedClock, wake_ups) -> None:
    """Jobs that may start once a limit has ended cause wake-ups as soon as the store looks."""
    store = make(queue_max_concurrent=3)
    store.jobs.create([spec()])
    queue = queue_id(store)
    store.queues.update(TENANT, queue, override=Override(clock() + 5 * SECOND, max_concurrent=1))
    store.jobs.create([spec() for _ in range(4)])
    assert 1 == len(claims(store, 5))
    wake_ups.clear()
    clock.advance(5)
    store.jobs.promote()
    assert 2 == len(wake_ups)
    assert 2 == len(claims(store, 5))


def test_an_override_is_replaced_and_ended(make: Make, clock: FixedClock) -> None:
    """A second override takes the place of the first; an end of 0 gives the queue its own limits at once."""
    store = make(queue_max_concurrent=2)
    store.jobs.create([spec() for _ in range(9)])
    queue = queue_id(store)
    end = clock() + 60 * SECOND
    store.queues.update(TENANT, queue, override=Override(end, max_concurrent=5))
    second = store.queues.update(TENANT, queue, override=Override(end, weight=20))
    assert (2, 20) == (second.slots, second.turns)
    third = store.queues.update(TENANT, queue, override=Override(0))
    assert (2, 100, None) == (third.slots, third.turns, third.override)


@pytest.mark.shows("Hop")
def test_a_job_changes_its_level_after_a_wait(make: Make, clock: FixedClock, wake_ups) -> None:
    """After its wait the job is one of the new level, with the place that its creation gives it there."""
    store = make()
    early, late = (
        store.jobs.create([spec(hop=Hop(10, 2))])[0].id,
        store.jobs.create([spec(hop=Hop(5, 2))])[0].id,
    )
    (urgent,) = store.jobs.create([spec(level=2)])
    assert {urgent.id: 1, early: 2, late: 3} == positions(store)
    clock.advance(5)
    wake_ups.clear()
    store.jobs.promote()
    assert {late: 1, urgent.id: 2, early: 3} == positions(store)
    assert [2] == [wake_up.level for wake_up in wake_ups]
    assert 2 == store.jobs.find(late).spec.level
    assert [late] == [job.id for job in store.jobs.search(TENANT, JobFilter(level=2)).items if job.id == late]
    clock.advance(5)
    store.jobs.promote()
    assert {early: 1, late: 2, urgent.id: 3} == positions(store)
    assert 2 == store.statistics.read().totals["hopped"]


def test_a_job_that_runs_keeps_its_level(make: Make, clock: FixedClock) -> None:
    """A wait that ends while the job runs changes nothing, also after a release."""
    store = make()
    (job,) = store.jobs.create([spec(hop=Hop(10, 2))])
    held = store.attempts.claim("w", [0])
    clock.advance(11)
    store.jobs.promote()
    store.attempts.release(held)
    store.jobs.promote()
    assert 0 == store.jobs.find(job.id).spec.level
    assert store.attempts.claim("w", [0]) is not None


def test_the_wait_begins_when_a_job_may_start(make: Make, clock: FixedClock) -> None:
    """A job that may not start yet does not wait for its turn; one of a paused queue changes its level."""
    store = make()
    (job,) = store.jobs.create([spec(hop=Hop(10, 1), not_before=clock() + 60 * SECOND)])
    store.queues.update(TENANT, queue_id(store), state=QueueState.PAUSED)
    clock.advance(61)
    store.jobs.promote()
    assert 0 == store.jobs.find(job.id).spec.level
    clock.advance(10)
    store.jobs.promote()
    assert (1, State.PAUSE) == ((found := store.jobs.find(job.id)).spec.level, found.state)
    store.queues.update(TENANT, queue_id(store), state=QueueState.ACTIVE)
    assert store.attempts.claim("w", [1]) is not None
