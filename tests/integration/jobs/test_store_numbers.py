"""Numbers that the store keeps are those of its records, after every kind of change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import redis

from stemline.jobs.callback import CallbackRequest
from stemline.jobs.errors import CreatedTemplateNumLimit, TemplateNameDuplicate
from stemline.jobs.job import Hop, Job, Waveform
from stemline.jobs.states import QueueState, State
from stemline.jobs.store import JobFilter, RedisStore, Slot, Store, WakeUp
from stemline.jobs.store.records import RECORD_BYTES
from stemline.jobs.worker import KEPT_S, Worker
from stemline.testing import FixedClock
from tests.integration.jobs.contract import DONE, OTHER, SECOND, TENANT, Make, spec


def claimed(store: Store) -> Job:
    job = store.attempts.claim("w", [2, 1, 0])
    assert job is not None
    return job


def queue_of(store: Store) -> str:
    (job, *_) = store.jobs.search(TENANT, JobFilter()).items
    return job.spec.queue_id


def check(store: Store, *, startable: tuple[int, int, int]) -> None:
    """Compare the numbers over all jobs with the jobs."""
    jobs = store.jobs.search(TENANT, JobFilter(size=100)).items
    found = store.statistics.read()
    states = {state: sum(job.state is state for job in jobs) for state in State}
    assert {state: count for state, count in states.items() if count} == {
        state: count for state, count in found.states.items() if count
    }
    waiting = [job for job in jobs if job.state in (State.SUBMITTED, State.PAUSE)]
    in_line = [job for job in waiting if not job.spec.not_before or job.spec.not_before <= store.now()]
    totals = found.totals_of_queues
    assert tuple(sum(job.spec.level == level for job in in_line) for level in range(3)) == totals.waiting
    assert states[State.RUNNING] == totals.running
    assert startable == totals.startable
    active = [job for job in in_line if job.state is State.SUBMITTED]
    ages = [[job.created for job in active if job.spec.level == level] for level in range(3)]
    assert tuple(min(each, default=None) for each in ages) == totals.oldest


def test_numbers_follow_every_change(make: Make, clock: FixedClock) -> None:
    """Submitting, claiming, ending, releasing, cancelling, pausing and resuming, waiting and rising."""
    store = make(queue_max_concurrent=2)
    jobs = store.jobs.create([spec(level=level) for level in (0, 0, 1, 2)])
    check(store, startable=(0, 1, 1))
    first, second = claimed(store), claimed(store)
    check(store, startable=(0, 0, 0))
    store.attempts.succeed(first, DONE)
    check(store, startable=(1, 0, 0))
    store.attempts.release(second)
    check(store, startable=(1, 1, 0))
    store.attempts.fail(claimed(store), "AudioDamaged", "It is.")
    store.jobs.cancel(TENANT, [jobs[1].id])
    check(store, startable=(1, 0, 0))
    store.jobs.cancel(TENANT, [jobs[0].id])
    check(store, startable=(0, 0, 0))
    store.jobs.create([spec(not_before=clock() + 9 * SECOND), spec(hop=Hop(5, 2)), spec(level=1)])
    check(store, startable=(1, 1, 0))
    store.queues.update(TENANT, queue_of(store), state=QueueState.PAUSED)
    check(store, startable=(0, 0, 0))
    store.queues.update(TENANT, queue_of(store), state=QueueState.ACTIVE)
    check(store, startable=(1, 1, 0))
    clock.advance(6)
    store.jobs.promote()
    assert 1 == store.statistics.read().totals["hopped"]


def test_a_job_that_rises_is_told_and_wakes_a_worker(
    make: Make, clock: FixedClock, wake_ups: list[WakeUp]
) -> None:
    """One event and one wake-up, at its new level; those of a job that may start now likewise."""
    store = make()
    (rising,) = store.jobs.create([spec(hop=Hop(5, 2))])
    (later,) = store.jobs.create([spec(not_before=clock() + 7 * SECOND)])
    start, _ = store.events.begin(TENANT)
    wake_ups.clear()
    clock.advance(6)
    store.jobs.promote()
    events = store.events.read(TENANT, start)
    assert events is not None
    assert [(rising.id, "Submitted")] == [(event.subject, event.state) for event in events]
    assert [(2, rising.id)] == [(each.level, each.job_id) for each in wake_ups]
    wake_ups.clear()
    clock.advance(2)
    store.jobs.promote()
    assert [0] == [each.level for each in wake_ups]
    assert rising.id == claimed(store).id
    assert later.id == claimed(store).id


ENDS: dict[str, Callable[[Store, Job], None]] = {
    "success": lambda store, job: store.attempts.succeed(job, DONE, (Waveform("Mix", 1, "AAEC" * 100),)),
    "failure": lambda store, job: store.attempts.fail(job, "AudioDamaged", "It is damaged. " * 9),
}


@pytest.mark.parametrize("end", ENDS)
def test_bytes_of_records_are_counted(client: redis.Redis, end: str) -> None:
    """A record counts with its specification, and at its end with message, result, callback and waveforms."""
    store = RedisStore(client)
    target = CallbackRequest(url="http://receiver.example/" + "c" * 50)
    (job,) = store.jobs.create([spec(callback=target)])
    key = f"stemline:job:{job.id}"
    at_first = RECORD_BYTES + len(str(client.hget(key, "spec")))
    assert str(at_first) == client.hget(key, "bytes")
    ENDS[end](store, claimed(store))
    delivery = store.outbox.for_job(job.id)
    assert delivery is not None
    texts = [
        client.hget(key, "message"),
        client.hget(key, "result"),
        client.get(f"stemline:waveforms:{job.id}"),
    ]
    texts.append(client.hget(f"stemline:delivery:{delivery.id}", "target"))
    more = sum(len(str(text).encode()) for text in texts if text)
    assert str(at_first + more) == client.hget(key, "bytes")
    assert str(at_first + more) == client.hget("stemline:kept", str(TENANT))


def worker(name: str) -> Worker:
    return Worker(name, "separation", 2, (2, 1, 0), "cpu", "1.0", 5)


def test_workers_are_known_until_they_leave_or_are_not_seen(store: Store, clock: FixedClock) -> None:
    """One that leaves is gone at once; one that dies is forgotten with the next report of another."""
    for name in ("gone", "dead", "well"):
        store.workers.report(worker(name))
    store.workers.leave("gone")
    store.workers.leave("unknown")
    assert {"dead", "well"} == {each.name for each in store.workers.latest()}
    clock.advance(KEPT_S - 1)
    store.workers.report(worker("well"))
    assert {"dead", "well"} == {each.name for each in store.workers.latest()}
    clock.advance(2)
    store.workers.report(worker("well"))
    assert ["well"] == [each.name for each in store.workers.latest()]


@pytest.mark.parametrize("limit", [1, 2, 3, 9])
def test_so_many_wake_ups_are_asked_for(make: Make, limit: int) -> None:
    """No more than the limit, over all queues of a level; those of the queue whose turn it is come first."""
    store = make(queue_max_concurrent=2)
    ids = [job.id for job in store.jobs.create([spec() for _ in range(3)])]
    ids[2:] = [job.id for job in store.jobs.create([spec(tenant=OTHER) for _ in range(2)])]
    store.jobs.create([spec(level=1)])
    found = [(each.level, each.job_id) for each in store.jobs.startable(0, limit)]
    assert min(limit, 4) == len(found)
    assert {*found} <= {(0, each) for each in ids}


def test_a_slot_that_is_passed_on_lasts_as_long_as_one_that_is_taken(store: Store, clock: FixedClock) -> None:
    """It is no other's until then; a release frees dead workers' slots, and gives none above the limit."""
    slots = store.host_slots

    def acquire(delivery: str) -> Slot:
        return slots.acquire("h", delivery, limit=1, ttl_s=60)

    def release(delivery: str) -> str | None:
        return slots.release("h", delivery, limit=1, ttl_s=60)

    assert [Slot.ACQUIRED, Slot.QUEUED, Slot.QUEUED] == [acquire("a"), acquire("b"), acquire("c")]
    assert release("unknown") is None
    clock.advance(30)
    assert "b" == release("a")
    clock.advance(59)
    assert [Slot.DUPLICATE, Slot.QUEUED] == [acquire("b"), acquire("d")]
    clock.advance(2)
    assert "c" == release("unknown")
    assert "d" == release("c")
    assert release("d") is None


def test_how_long_jobs_run_is_a_moving_mean(store: Store, clock: FixedClock) -> None:
    """The first run as it is; each later one moves the mean by a fifth of the difference."""
    for seconds, mean in ((10, 10), (20, 12), (2, 10)):
        store.jobs.create([spec()])
        job = claimed(store)
        clock.advance(seconds)
        store.attempts.succeed(job, DONE)
        assert [mean * SECOND] == [*store.statistics.of_tenant(TENANT).mean_runs.values()]


def test_a_job_that_was_put_off_is_no_longer_once_it_may_start(store: Store, clock: FixedClock) -> None:
    """Neither among those that wait for their time, nor among those of its queue that do."""
    store.jobs.create([spec(not_before=clock() + 5 * SECOND)])
    assert [1] == [*store.statistics.of_tenant(TENANT).later.values()]
    assert 1 == store.statistics.read().delayed
    clock.advance(5)
    store.jobs.promote()
    assert [0] == [*store.statistics.of_tenant(TENANT).later.values()]
    assert 0 == store.statistics.read().delayed


def test_a_job_that_was_put_off_and_is_cancelled_waits_no_longer(store: Store, clock: FixedClock) -> None:
    """Neither at once nor when its time comes."""
    (job,) = store.jobs.create([spec(not_before=clock() + 5 * SECOND)])
    store.jobs.cancel(TENANT, [job.id])
    assert [0] == [*store.statistics.of_tenant(TENANT).later.values()]
    assert 0 == store.statistics.read().delayed


def test_templates_are_limited_and_names_are_free_again(make: Make) -> None:
    """So many of a bucket; the name of one that was deleted may be given to another."""
    store = make(templates_per_bucket=2)
    separate = spec().separate
    first = store.templates.create(TENANT, "one", separate)
    store.templates.create(TENANT, "two", separate)
    with pytest.raises(CreatedTemplateNumLimit):
        store.templates.create(TENANT, "three", separate)
    store.templates.create(OTHER, "three", separate)
    store.templates.delete(TENANT, first.id)
    with pytest.raises(TemplateNameDuplicate):
        store.templates.create(TENANT, "two", separate)
    again = store.templates.create(TENANT, "one", separate)
    assert again.id != first.id


def test_nothing_is_kept_of_what_is_over(client: redis.Redis, clock: FixedClock) -> None:
    """Of workers that left or died, of deadlines that passed and of leftovers that were removed, once."""
    store = RedisStore(client, clock=clock)
    for name in ("left", "died", "well"):
        store.workers.report(worker(name))
    store.workers.report(replace(worker("died"), serves=("htdemucs",)))
    store.workers.leave("left")
    assert {"died", "well"} == {*client.zrange("stemline:workers", 0, -1)}
    clock.advance(KEPT_S + 1)
    store.workers.report(worker("well"))
    assert ["well"] == client.zrange("stemline:workers", 0, -1) == client.hkeys("stemline:worker-reports")
    assert not client.exists("stemline:served")
    store.jobs.create([spec(deadline=clock() + SECOND)])
    clock.advance(2)
    assert 1 == store.jobs.expire()
    assert not client.exists("stemline:deadlines")
    store.jobs.create([spec()])
    job = claimed(store)
    store.attempts.fail(job, "AudioDamaged", "It is.", leftovers=[{"key": "out/a"}])
    clock.advance(3600)
    found = store.leftovers.reserve()
    assert found is not None
    for _ in range(2):
        store.leftovers.drop(found.id, removed=True)
        assert 1 == store.statistics.read().totals["leftovers:removed"]
        assert [] == client.keys("stemline:leftover*")


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
def test_so_many_workers_are_listed(client: redis.Redis, clock: FixedClock, limit: int) -> None:
    """Those that were seen last, the latest first."""
    store = RedisStore(client, clock=clock)
    names = ["one", "two", "three"]
    for name in names:
        clock.advance(1)
        store.workers.report(worker(name))
    assert names[::-1][:limit] == [row[0] for row in store._connection.run("workers", limit)]


@pytest.mark.parametrize("limit", [0, 1, 2, 3])
def test_so_many_queues_are_described(store: Store, limit: int) -> None:
    """The busiest first; the oldest waiting job and the next callback are named whatever their number is."""
    store.jobs.create([spec(tenant=OTHER, level=1) for _ in range(3)])
    store.jobs.create([spec(), spec()])
    assert [OTHER, OTHER] == [claimed(store).spec.tenant for _ in range(2)]
    found = store.statistics.read(limit)
    assert [OTHER, TENANT][:limit] == [queue.tenant for queue in found.queues]
    assert 2 == found.totals_of_queues.queues


def test_without_another_clock_the_time_is_that_of_the_server(client: redis.Redis) -> None:
    """To the microsecond, as of the creation of a job."""
    store = RedisStore(client)
    before, (job,), after = client.time(), store.jobs.create([spec()]), client.time()
    assert before[0] * SECOND + before[1] <= job.created <= after[0] * SECOND + after[1]
