"""Numbers that the store keeps are those of its records, after every kind of change."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import redis

from stemline.jobs.callback import CallbackRequest
from stemline.jobs.job import Hop, Job, Waveform
from stemline.jobs.states import QueueState, State
from stemline.jobs.store import JobFilter, RedisStore, Store, WakeUp
from stemline.jobs.store.records import RECORD_BYTES
from stemline.testing import FixedClock
from tests.conftest import ValkeyServer
from tests.integration.jobs.contract import DONE, SECOND, TENANT, Make, spec


@pytest.fixture
def client(valkey: redis.Redis, valkey_server: ValkeyServer) -> Iterator[redis.Redis]:
    found = redis.Redis.from_url(valkey_server.url, decode_responses=True)
    yield found
    found.close()


def claimed(store: Store) -> Job:
    job = store.jobs.claim("w", [2, 1, 0])
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
    store.jobs.succeed(first, DONE)
    check(store, startable=(1, 0, 0))
    store.jobs.release(second)
    check(store, startable=(1, 1, 0))
    store.jobs.fail(claimed(store), "AudioDamaged", "It is.")
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
    "success": lambda store, job: store.jobs.succeed(job, DONE, (Waveform("Mix", 1, "AAEC" * 100),)),
    "failure": lambda store, job: store.jobs.fail(job, "AudioDamaged", "It is damaged. " * 9),
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
