"""What a store does once records are lost, as in a failover, and what it keeps of what is over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import redis

from stemline.jobs.batch import Row
from stemline.jobs.callback import CallbackRequest
from stemline.jobs.job import Hop, Job
from stemline.jobs.queue import Override
from stemline.jobs.states import State
from stemline.jobs.store import DeliveryFilter, QueueFilter, RedisStore, StoreOptions
from stemline.testing import FixedClock
from tests.integration.jobs.contract import DONE, SECOND, TENANT, ended, spec
from tests.integration.jobs.test_store_batches import ID, feed, submit

P = "stemline"
INDEXES = ("delayed", "hops", "deadlines", "leases", "ended", "batches-ended")


@pytest.fixture
def store(client: redis.Redis, clock: FixedClock) -> RedisStore:
    return RedisStore(client, StoreOptions(retention_days=1), clock=clock)


def claimed(store: RedisStore, **changes: Any) -> Job:
    store.jobs.create([spec(**changes)])
    job = store.attempts.claim("w", [0])
    assert job is not None
    return job


def failed(store: RedisStore) -> str:
    job = claimed(store)
    store.attempts.fail(job, "AudioDamaged", "It is.")
    return job.id


def sweep(store: RedisStore) -> None:
    """Do what sweepers do."""
    store.jobs.promote()
    store.jobs.expire()
    for job_id in store.attempts.expired():
        store.attempts.reclaim(job_id, "sweeper")
    store.jobs.prune()


def later(store: RedisStore) -> int:
    return store.now() + 5 * SECOND


@dataclass(frozen=True)
class Case:
    """A job that a sweep looks at."""

    make: Callable[[RedisStore], str]
    seconds: float
    """When it does."""
    state: State | None
    """What the job is then; ``None`` if it is deleted."""
    level: int = 0


SWEPT = {
    "its time has come": Case(
        lambda store: store.jobs.create([spec(not_before=later(store))])[0].id, 6, State.SUBMITTED
    ),
    "its level changes": Case(
        lambda store: store.jobs.create([spec(hop=Hop(5, 2))])[0].id, 6, State.SUBMITTED, 2
    ),
    "its deadline has passed": Case(
        lambda store: store.jobs.create([spec(deadline=later(store))])[0].id, 6, State.CANCEL
    ),
    "its lease is over": Case(lambda store: claimed(store).id, 3600, State.RUNNING),
    "its retention is over": Case(failed, 90_000, None),
}


@pytest.mark.parametrize("case", SWEPT.values(), ids=SWEPT)
def test_a_record_that_is_gone_keeps_no_sweep_from_the_others(
    store: RedisStore, client: redis.Redis, clock: FixedClock, case: Case
) -> None:
    """It is forgotten; what is to be done with the others is done."""
    lost, other = case.make(store), case.make(store)
    client.delete(f"{P}:job:{lost}")
    clock.advance(case.seconds)
    for _ in range(2):
        sweep(store)
    job = store.jobs.find(other)
    assert (case.state, case.level) == (job and job.state, job.spec.level if job else 0)
    assert [] == [index for index in INDEXES if client.zscore(f"{P}:{index}", lost) is not None]


def test_a_lease_of_a_job_that_does_not_run_is_forgotten(
    store: RedisStore, client: redis.Redis, clock: FixedClock
) -> None:
    """An earlier release may leave one; no sweep looks at it again."""
    name = failed(store)
    client.zadd(f"{P}:leases", {name: clock()})
    assert [name] == store.attempts.expired()
    assert store.attempts.reclaim(name, "sweeper") is None
    assert [] == store.attempts.expired()


@pytest.mark.parametrize("what", ["pause", "resume"])
def test_a_batch_whose_jobs_are_gone_can_be_changed(
    store: RedisStore, client: redis.Redis, what: str
) -> None:
    """Those that are left are paused and resumed."""
    submit(store, 2)
    feed(store)
    first, second = store.jobs.startable(0, 9)
    if what == "resume":
        store.batches.pause(TENANT, ID)
    client.delete(f"{P}:job:{first.job_id}")
    store.batches.pause(TENANT, ID)
    assert store.attempts.claim("w", [0]) is None
    store.batches.resume(TENANT, ID)
    job = store.attempts.claim("w", [0])
    assert job is not None
    assert second.job_id == job.id


def test_equal_jobs_go_on_although_one_of_them_is_gone(store: RedisStore, client: redis.Redis) -> None:
    """The end of the job that they wait for does not depend on their records."""
    leader, *others = (claimed(store) for _ in range(3))
    for job in (leader, *others):
        store.attempts.reuse(job.id, job.token, "d" * 64)
    client.delete(f"{P}:job:{others[0].id}")
    store.attempts.succeed(leader, DONE)
    again = store.attempts.claim("w", [0])
    assert again is not None
    assert others[1].id == again.id


def test_a_job_that_leads_other_stems_now_is_not_waited_for(store: RedisStore) -> None:
    """One that asked for another source since, as after a change of its object, is no equal any more."""
    first, second = claimed(store), claimed(store)
    assert not store.attempts.reuse(first.id, first.token, "d" * 64).waits
    assert not store.attempts.reuse(first.id, first.token, "e" * 64).waits
    assert not store.attempts.reuse(second.id, second.token, "d" * 64).waits


@pytest.mark.parametrize(("most", "waits"), [(0, 9), (1, 300), (2, 300)])
def test_so_many_jobs_go_on_with_the_end_of_an_equal_one(
    store: RedisStore, client: redis.Redis, clock: FixedClock, most: int, waits: int
) -> None:
    """Those beyond the limit wait for a shorter time, and look again."""
    leader, *others = (claimed(store) for _ in range(3))
    store.attempts.reuse(leader.id, leader.token, "d" * 64)
    for job in others:
        limits = (300 * SECOND, most, 9 * SECOND)
        answer = store._connection.run("reuse", job.id, job.token, "d" * 64, "", *limits)
        assert "waits" == answer[0]
    delayed: Any = client.zrange(f"{P}:delayed", 0, -1, withscores=True)
    delays = [round(at - clock()) // SECOND for _, at in delayed]
    assert sorted([waits, 300 if most == 2 else 9]) == sorted(delays)
    assert most == client.scard(f"{P}:followers:{leader.id}")


def test_no_key_is_left_of_what_is_over(store: RedisStore, client: redis.Redis, clock: FixedClock) -> None:
    """Of jobs that led, followed, were reused or shared, of batches, and of their callbacks."""
    store.jobs.create([spec()])
    kept = {key for key in client.scan_iter() if ":job:" not in key}
    job = store.attempts.claim("w", [0])
    assert job is not None
    store.attempts.reuse(job.id, job.token, "d" * 64)
    follower = claimed(store)
    assert store.attempts.reuse(follower.id, follower.token, "d" * 64).waits
    store.attempts.succeed(job, DONE, digest="d" * 64)
    store.jobs.cancel(TENANT, [follower.id])
    store.jobs.create([spec(credential="AKIDa", weight=50, callback=CallbackRequest(url="http://a/"))])
    store.attempts.succeed(held := store.attempts.claim("w", [0]), DONE)
    delivery = store.outbox.for_job(held.id)
    assert delivery is not None
    store.outbox.record(delivery.id, None, next_due=None, status="dead")
    submit(store, 2)
    feed(store, 1)
    store.attempts.succeed(store.attempts.claim("w", [0]), DONE)
    store.batches.cancel(TENANT, ID)
    assert not client.exists(f"{P}:batch-rows:{ID}")
    store.batches.begin("b" + "2" * 32, "", spec(), None, "u")
    store.batches.append("b" + "2" * 32, "u", 0, [Row("in/a")])
    store.batches.drop("b" + "2" * 32, "u")
    clock.advance(90_000)
    assert 4 == store.jobs.prune()
    clock.advance(40 * 86_400)
    assert 0 == store.jobs.prune()
    sums = {"usage", "spent", "counts", "sums", "loads", "busiest"}
    lasting = sums | {"last", "share", "share-turns", "turn", "events"}
    over = {key for key in client.scan_iter() if key.split(":")[1] not in lasting}
    assert set() == over - kept


def test_jobs_and_dead_letters_are_counted_together(client: redis.Redis, clock: FixedClock) -> None:
    """Prune says how many it has deleted: letters after 30 days, jobs after 90, with their callbacks."""
    store = RedisStore(client, clock=clock)
    store.outbox.record(ended(store), None, next_due=None, status="dead")
    clock.advance(31 * 86_400)
    store.outbox.record(ended(store), None, next_due=None, status="dead")
    assert [1, 0] == [store.jobs.prune() for _ in range(2)]
    clock.advance(61 * 86_400)
    assert [2, 0] == [store.jobs.prune() for _ in range(2)]
    clock.advance(31 * 86_400)
    assert [1, 1, 0] == [sum(store.statistics.read().states.values()), store.jobs.prune(), store.jobs.prune()]
    assert 0 == sum(store.statistics.read().states.values())


def test_stems_without_a_digest_are_not_recorded(store: RedisStore, client: redis.Redis) -> None:
    """No job that succeeds after it finds them."""
    store.attempts.succeed(claimed(store), DONE)
    assert [] == client.keys(f"{P}:reuse:*")


def test_callbacks_of_an_earlier_release_are_filed_in_parts(
    store: RedisStore, client: redis.Redis, clock: FixedClock
) -> None:
    """Each call files so many jobs from the last one on; the list has them all in the end."""
    made = [ended(store) for _ in range(3)]
    created = [job.created for name in made if (job := store.jobs.find("j" + name[1:]))]
    home = f"{P}:tenant:{TENANT}"
    client.hdel(home, "filed")
    client.delete(f"{P}:deliveries:{TENANT}:pending")
    for filed in (*map(str, created), "all", "all"):
        store._connection.run("file_deliveries", str(TENANT), 1)
        assert filed == client.hget(home, "filed")
    assert {*made} == {each.id for each in store.outbox.search(TENANT, DeliveryFilter()).items}


def test_only_nonces_that_are_remembered_are_counted(
    store: RedisStore, client: redis.Redis, clock: FixedClock
) -> None:
    """What is counted of a credential has no more entries than periods that are remembered."""
    for number in range(30):
        store.nonces.use("AKIDa", f"n{number}", request_id=f"r{number}", ttl_s=1200)
        clock.advance(600)
    assert 3 == client.hlen(f"{P}:nonces:AKIDa")


def test_jobs_that_an_earlier_release_has_ended_count_for_no_limit(
    client: redis.Redis, clock: FixedClock
) -> None:
    """It does not take them from those that run of a model with a limit."""
    store = RedisStore(client, StoreOptions(model_limits={"AudioAndBackground": 2}), clock=clock)
    over, key = failed(store), f"{P}:running-wanting:AudioAndBackground"
    client.sadd(key, over, "j" + "0" * 32)
    jobs = [claimed(store), claimed(store)]
    store.jobs.create([spec()])
    assert store.attempts.claim("w", [0], {"AudioAndBackground"}) is None
    assert {job.id for job in jobs} == client.smembers(key)


def test_an_upload_that_broke_off_holds_no_rows(client: redis.Redis, clock: FixedClock) -> None:
    """Once its record has expired it counts neither as a batch nor by its rows and bytes."""
    store = RedisStore(client, StoreOptions(batches_per_bucket=1, batch_rows_per_bucket=2), clock=clock)
    first, second = "b" + "1" * 32, "b" + "2" * 32
    store.batches.begin(first, "", spec(), None, "u")
    store.batches.append(first, "u", 0, [Row("in/a")] * 2)
    assert client.pttl(f"{P}:batch:{first}") > 0
    assert client.pttl(f"{P}:batch-rows:{first}") > 0
    client.delete(f"{P}:batch:{first}")
    store.batches.begin(second, "", spec(), None, "u")
    store.batches.append(second, "u", 0, [Row("in/a")] * 2)
    assert [second] == client.hkeys(f"{P}:held-rows:{TENANT}")


@pytest.mark.parametrize("is_known", [True, False])
def test_rows_are_counted_to_the_byte(store: RedisStore, client: redis.Redis, is_known: bool) -> None:
    """Also of a batch that an earlier release has begun, which did not count them."""
    store.batches.begin(ID, "", spec(), None, "u")
    if not is_known:
        client.delete(f"{P}:held-rows:{TENANT}")

    def append(first: int, text: str, most: int) -> list[str]:
        answer: list[str] = store._connection.run("batch_rows", "append", ID, "u", first, 9, most, text)
        return answer

    assert [["large", "bytes"], ["ok"]] == [append(0, "abc", most) for most in (2, 3)]
    assert [["large", "bytes"], ["ok"]] == [append(1, "de", most) for most in (4, 5)]
    assert {ID: "2 5"} == client.hgetall(f"{P}:held-rows:{TENANT}")


def test_what_was_to_come_is_forgotten_at_the_end(
    store: RedisStore, client: redis.Redis, clock: FixedClock
) -> None:
    """Of a job its deadline, its next level and that others wait; of a queue its limits for a time."""
    (job,) = store.jobs.create([spec(deadline=later(store), hop=Hop(9, 2))])
    (queue,) = store.queues.search(TENANT, QueueFilter()).items
    assert "queue-speech-1" == queue.name
    store.jobs.cancel(TENANT, [job.id])
    assert 0 == client.exists(f"{P}:deadlines", f"{P}:hops")
    leader = claimed(store)
    store.attempts.reuse(leader.id, leader.token, "d" * 64)
    store.attempts.succeed(leader, DONE)
    assert client.hget(f"{P}:job:{leader.id}", "leads") is None
    store.queues.update(TENANT, queue.id, override=Override(later(store), max_concurrent=1))
    store.jobs.create([spec(deadline=later(store))])
    clock.advance(5)
    assert 1 == store.jobs.expire()
    assert (0, 0, 0) == store.statistics.read().totals_of_queues.waiting
    store.jobs.promote()
    assert 0 == client.exists(f"{P}:overrides")
