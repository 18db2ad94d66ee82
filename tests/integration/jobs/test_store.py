"""Contract of a job store, on a real Valkey and in memory: each promise about a job, one by one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest
import redis

from stemline.jobs.callback import CallbackRequest
from stemline.jobs.delivery import DeliveryAttempt
from stemline.jobs.errors import (
    AsrBucketUnBinded,
    BindedBucketNumLimit,
    CancelAsked,
    IdempotencyConflict,
    IllegalTransition,
    LeaseLost,
    NoSuchBucket,
    NoSuchQueue,
    NoSuchTemplate,
    QueueFull,
    QueueNotFound,
    TemplateNameDuplicate,
)
from stemline.jobs.job import JobSpec, Output, OutputFile, Result
from stemline.jobs.queue import NotifyConfig
from stemline.jobs.separation import AudioMode, Track, VoiceSeparate
from stemline.jobs.states import QueueState, State
from stemline.jobs.store import (
    BucketFilter,
    Idempotency,
    JobFilter,
    QueueFilter,
    RedisStore,
    Slot,
    Store,
    StoreOptions,
    TemplateFilter,
    WakeUp,
)
from stemline.jobs.tenant import Tenant
from stemline.testing import FixedClock, InMemoryStore

TENANT = Tenant("media-1250000000", "ap-chongqing")
OTHER = Tenant("other-1250000000", "ap-chongqing")
START = 1_790_000_000_000_000
SECOND = 1_000_000
DONE = Result(files=(OutputFile(Track.VOICE, "v.wav", "0" * 32, 1),), media_info={"Format": {}})


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def wake_ups() -> list[WakeUp]:
    return []


Make: TypeAlias = Callable[..., Store]


@pytest.fixture(params=["redis", "in memory"])
def make(request: pytest.FixtureRequest, clock: FixedClock, wake_ups: list[WakeUp]) -> Iterator[Make]:
    """Make an empty store of each kind, with options of the test's choice."""
    if request.param == "in memory":
        yield lambda **options: InMemoryStore(StoreOptions(**options), notify=wake_ups.extend, clock=clock)
        return
    request.getfixturevalue("valkey")
    url = request.getfixturevalue("valkey_server").url
    client = redis.Redis.from_url(url, decode_responses=True)
    yield lambda **options: RedisStore(client, StoreOptions(**options), notify=wake_ups.extend, clock=clock)
    client.close()


@pytest.fixture
def store(make: Make) -> Store:
    return make()


def spec(name: str = "in/a.mp3", *, tenant: Tenant = TENANT, level: int = 0, **changes) -> JobSpec:
    output = Output(region=tenant.region, bucket=tenant.bucket, au_object="out/${jobid}.${ext}")
    return JobSpec(tenant, name, VoiceSeparate(AudioMode.IS_AUDIO), output, level=level, **changes)


def states(store: Store, *ids: str) -> list[State]:
    return [job.state for job in store.jobs.get(TENANT, ids)]


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


def test_one_way_through(store: Store, clock: FixedClock) -> None:
    """Submitted, Running, Success, with times, progress and result."""
    (job,) = store.jobs.create([spec()])
    clock.advance(1)
    claimed = store.jobs.claim("w1", [2, 1, 0])
    assert claimed is not None
    assert (job.id, State.RUNNING, "w1", 1, 1) == (
        claimed.id,
        claimed.state,
        claimed.worker,
        claimed.attempt,
        claimed.token,
    )
    assert store.jobs.heartbeat(job.id, claimed.token, 40, "cpu") is False
    clock.advance(5)
    store.jobs.succeed(claimed, DONE)
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
    assert store.jobs.claim("w1", [2, 1, 0]) is None


def test_higher_level_first_then_oldest(store: Store) -> None:
    """A level-2 job behind a thousand of level 0 starts next; within a level the old order holds."""
    first = store.jobs.create([spec() for _ in range(1000)])
    (urgent,) = store.jobs.create([spec(level=2)])
    claims = [store.jobs.claim("w", [0, 1, 2]) for _ in range(3)]
    assert [urgent.id, first[0].id, first[1].id] == [c.id for c in claims if c]


def test_dedicated_workers_serve_their_level_only(store: Store) -> None:
    """A worker of level 2 leaves level 0 alone."""
    store.jobs.create([spec(level=0)])
    assert store.jobs.claim("w", [2]) is None


def test_buckets_take_turns(make: Make) -> None:
    """One tenant's backlog does not block another's first job."""
    store = make(queue_max_concurrent=1000)
    mine = store.jobs.create([spec() for _ in range(50)])
    for _ in range(10):
        store.jobs.claim("w", [0])
    theirs = store.jobs.create([spec(tenant=OTHER) for _ in range(3)])
    claimed = [c.id for c in (store.jobs.claim("w", [0]) for _ in range(6)) if c]
    assert {j.id for j in theirs} < set(claimed)
    assert len(set(claimed) & {j.id for j in mine}) == 3


def test_ageing_lifts_old_jobs(make: Make, clock: FixedClock) -> None:
    """With ageing on, a level-0 job that waited long goes before a young one of level 1."""
    store = make(level_ageing_s=60)
    (old,) = store.jobs.create([spec(level=0)])
    clock.advance(121)
    store.jobs.create([spec(level=1)])
    claimed = store.jobs.claim("w", [2, 1, 0])
    assert claimed is not None
    assert old.id == claimed.id


def test_max_concurrent_holds_over_all_workers(make: Make, wake_ups: list[WakeUp]) -> None:
    """No more jobs of a queue run than it allows; the end of one sends a wake-up for the next."""
    store = make(queue_max_concurrent=2)
    jobs = store.jobs.create([spec() for _ in range(4)])
    assert [WakeUp(0, jobs[0].id), WakeUp(0, jobs[1].id)] == wake_ups
    one, two, three = (store.jobs.claim(f"w{i}", [0]) for i in range(3))
    assert one
    assert two
    assert three is None
    wake_ups.clear()
    store.jobs.succeed(one, DONE)
    assert [WakeUp(0, jobs[2].id)] == wake_ups
    assert store.jobs.claim("w", [0]) is not None
    assert store.jobs.claim("w", [0]) is None


def test_pause_and_resume(store: Store, wake_ups: list[WakeUp]) -> None:
    """Waiting jobs of a paused queue show Pause and stay; resumed, they go on in their old order."""
    jobs = store.jobs.create([spec() for _ in range(3)])
    queue = jobs[0].spec.queue_id
    running = store.jobs.claim("w", [0])
    store.queues.update(TENANT, queue, state=QueueState.PAUSED)
    (late,) = store.jobs.create([spec()])
    ids = [j.id for j in jobs] + [late.id]
    assert states(store, *ids) == [State.RUNNING, State.PAUSE, State.PAUSE, State.PAUSE]
    assert store.jobs.claim("w", [0]) is None
    assert running is not None
    store.jobs.succeed(running, DONE)
    wake_ups.clear()
    store.queues.update(TENANT, queue, state=QueueState.ACTIVE)
    assert [WakeUp(0, i) for i in ids[1:]] == wake_ups
    assert ids[1:] == [c.id for c in (store.jobs.claim("w", [0]) for _ in range(3)) if c]


def test_cancel_waiting(store: Store) -> None:
    """A waiting job becomes Cancel at once, again without harm, and is never claimed."""
    (job,) = store.jobs.create([spec(callback=CallbackRequest(url="http://a/"))])
    store.jobs.cancel(TENANT, [job.id])
    store.jobs.cancel(TENANT, [job.id])
    assert states(store, job.id) == [State.CANCEL]
    assert store.jobs.claim("w", [0]) is None
    assert store.outbox.for_job(job.id) is None


def test_cancel_running_is_confirmed_by_the_worker(store: Store) -> None:
    """A heartbeat reports the cancel of a running job, which cannot succeed any more and ends as Cancel."""
    (job,) = store.jobs.create([spec()])
    claimed = store.jobs.claim("w", [0])
    assert claimed is not None
    store.jobs.cancel(TENANT, [job.id])
    assert states(store, job.id) == [State.RUNNING]
    assert store.jobs.heartbeat(job.id, claimed.token, 1) is True
    with pytest.raises(CancelAsked):
        store.jobs.succeed(claimed, DONE)
    store.jobs.confirm_cancel(claimed)
    assert states(store, job.id) == [State.CANCEL]


def test_cancel_is_all_or_nothing(store: Store) -> None:
    """One finished job among several refuses the whole request."""
    done, waiting = store.jobs.create([spec(), spec()])
    claimed = store.jobs.claim("w", [0])
    assert claimed is not None
    store.jobs.succeed(claimed, DONE)
    with pytest.raises(IllegalTransition):
        store.jobs.cancel(TENANT, [waiting.id, done.id])
    assert states(store, waiting.id) == [State.SUBMITTED]


def test_vendor_behaviour_refuses_cancel_of_running(make: Make) -> None:
    """With cancel_running off, a running job cannot be cancelled."""
    store = make(cancel_running=False)
    (job,) = store.jobs.create([spec()])
    store.jobs.claim("w", [0])
    with pytest.raises(IllegalTransition):
        store.jobs.cancel(TENANT, [job.id])


def test_a_stale_attempt_writes_nothing(store: Store, clock: FixedClock) -> None:
    """After its lease ran out and the job was reclaimed, each write of the old attempt is refused."""
    (job,) = store.jobs.create([spec()])
    old = store.jobs.claim("w1", [0])
    assert old is not None
    assert store.jobs.expired() == []
    clock.advance(21)
    assert [job.id] == store.jobs.expired()
    reclaimed = store.jobs.reclaim(job.id, "sweeper")
    assert reclaimed is not None
    assert store.jobs.reclaim(job.id, "other sweeper") is None
    for write in (
        lambda: store.jobs.heartbeat(job.id, old.token, 50),
        lambda: store.jobs.register_uploads(job.id, old.token, []),
        lambda: store.jobs.succeed(old, DONE),
        lambda: store.jobs.fail(old, "InternalError", "x"),
        lambda: store.jobs.confirm_cancel(old),
        lambda: store.jobs.release(old),
    ):
        with pytest.raises(LeaseLost):
            write()
    store.jobs.release(reclaimed, counts=True)
    new = store.jobs.claim("w2", [0])
    assert new is not None
    assert (job.id, 2) == (new.id, new.attempt)
    with pytest.raises(LeaseLost):
        store.jobs.succeed(old, DONE)
    store.jobs.succeed(new, DONE)


def test_a_worker_that_comes_back_in_time_keeps_its_job(store: Store, clock: FixedClock) -> None:
    """A heartbeat before the sweeper reclaims the job wins."""
    (job,) = store.jobs.create([spec()])
    claimed = store.jobs.claim("w1", [0])
    assert claimed is not None
    clock.advance(21)
    store.jobs.heartbeat(job.id, claimed.token, 10)
    assert store.jobs.reclaim(job.id, "sweeper") is None


def test_a_released_job_keeps_its_place(store: Store, wake_ups: list[WakeUp]) -> None:
    """A job released without blame goes to the front of its level, with its attempts as before."""
    jobs = store.jobs.create([spec(), spec()])
    claimed = store.jobs.claim("w", [0])
    assert claimed is not None
    wake_ups.clear()
    store.jobs.release(claimed)
    assert [WakeUp(0, jobs[0].id)] == wake_ups
    again = store.jobs.claim("w", [0])
    assert again is not None
    assert (jobs[0].id, 1, 2) == (again.id, again.attempt, again.token)


def test_a_delayed_job_waits_its_time(store: Store, clock: FixedClock, wake_ups: list[WakeUp]) -> None:
    """A job released with a delay is claimed only after it, and can be cancelled meanwhile."""
    one, two = store.jobs.create([spec(), spec()])
    for _ in range(2):
        claimed = store.jobs.claim("w", [0])
        assert claimed is not None
        store.jobs.release(claimed, delay_s=10)
    store.jobs.promote()
    assert store.jobs.claim("w", [0]) is None
    store.jobs.cancel(TENANT, [two.id])
    clock.advance(11)
    wake_ups.clear()
    store.jobs.promote()
    assert [WakeUp(0, one.id)] == wake_ups
    claimed = store.jobs.claim("w", [0])
    assert claimed is not None
    assert one.id == claimed.id


def test_the_end_writes_the_outbox(store: Store, clock: FixedClock) -> None:
    """The callback is due when the job ends, is reserved by one worker, and due again if that one dies."""
    (job,) = store.jobs.create([spec(callback=CallbackRequest(url="http://cb.example/x", format="JSON"))])
    claimed = store.jobs.claim("w", [0])
    assert claimed is not None
    store.jobs.fail(claimed, "InvalidContent", "no audio")
    (due,) = store.outbox.due()
    taken = store.outbox.reserve(due, 30)
    assert taken is not None
    assert (job.id, "JSON", "cb.example") == (taken.job_id, taken.target.format, taken.target.host)
    assert store.outbox.reserve(due, 30) is None
    assert store.outbox.due() == []
    clock.advance(31)
    assert [due] == store.outbox.due()


def test_a_repeated_end_is_harmless(store: Store) -> None:
    """A repeated Success of the same attempt (its answer was lost) is accepted and changes nothing."""
    store.jobs.create([spec()])
    claimed = store.jobs.claim("w", [0])
    assert claimed is not None
    store.jobs.succeed(claimed, DONE)
    store.jobs.succeed(claimed, DONE)
    with pytest.raises(LeaseLost):
        store.jobs.fail(claimed, "x", "y")


def test_idempotency(store: Store) -> None:
    """The same key and body give the first answer again; another body is a conflict."""
    first = store.jobs.create([spec()], idempotency=Idempotency("k", "body"))
    again = store.jobs.create([spec()], idempotency=Idempotency("k", "body"))
    assert [j.id for j in first] == [j.id for j in again]
    with pytest.raises(IdempotencyConflict):
        store.jobs.create([spec()], idempotency=Idempotency("k", "other"))


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
    claimed = store.jobs.claim("w", [0])
    assert claimed is not None
    store.jobs.succeed(claimed, DONE)
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


def test_templates(make: Make) -> None:
    """Names are unique per bucket; a deleted template is gone and frees its name."""
    store = make()
    both = VoiceSeparate(AudioMode.AUDIO_AND_BACKGROUND)
    one = store.templates.create(TENANT, "one", both)
    store.templates.create(OTHER, "one", both)
    with pytest.raises(TemplateNameDuplicate):
        store.templates.create(TENANT, "one", both)
    changed = store.templates.update(TENANT, one.id, name="two")
    assert ("two", both) == (changed.name, changed.separate)
    store.templates.create(TENANT, "one", both)
    listing = store.templates.search(TENANT, TemplateFilter(ids=(one.id, "t1x")))
    assert ([one.id], ("t1x",)) == ([t.id for t in listing.items], listing.missing)
    store.templates.delete(TENANT, one.id)
    with pytest.raises(NoSuchTemplate):
        store.templates.delete(TENANT, one.id)
    assert store.templates.get(TENANT, one.id) is None


def test_retention(store: Store, clock: FixedClock) -> None:
    """Ended jobs and their callbacks go after their time; waiting jobs never."""
    (kept,) = store.jobs.create([spec()])
    store.queues.update(TENANT, kept.spec.queue_id, max_concurrent=1)
    (gone,) = store.jobs.create([spec(level=1, callback=CallbackRequest(url="http://a/"))])
    claimed = store.jobs.claim("w", [1])
    assert claimed is not None
    store.jobs.succeed(claimed, DONE)
    clock.advance(89 * 86_400)
    assert store.jobs.prune() == 0
    clock.advance(2 * 86_400)
    assert store.jobs.prune() == 1
    assert store.jobs.find(gone.id) is None
    assert store.outbox.for_job(gone.id) is None
    assert store.outbox.due() == []
    assert [kept.id] == [j.id for j in store.jobs.search(TENANT, JobFilter()).items]


def ended(store: Store, url: str = "http://cb.example/x") -> str:
    """Run a job to its end; the id of its callback."""
    (job,) = store.jobs.create([spec(callback=CallbackRequest(url=url))])
    claimed = store.jobs.claim("w", [0])
    assert claimed is not None
    store.jobs.succeed(claimed, DONE)
    delivery = store.outbox.for_job(job.id)
    assert delivery is not None
    return delivery.id


def test_attempts_of_a_callback(store: Store, clock: FixedClock) -> None:
    """Each attempt is recorded; the callback is due when it says, and over once it is delivered."""
    delivery = ended(store)
    failed = DeliveryAttempt(clock.now, "500", 12, "no")
    store.outbox.record(delivery, failed, next_due=clock.now + 5 * SECOND, status="pending")
    store.outbox.record(delivery, None, next_due=clock.now + 7 * SECOND, status="pending")
    assert store.outbox.reserve(delivery, 30) is None
    clock.advance(7)
    assert [delivery] == store.outbox.due()
    delivered = DeliveryAttempt(clock.now, "200", 8)
    store.outbox.record(delivery, delivered, next_due=None, status="delivered")
    store.outbox.record(delivery, failed, next_due=clock.now, status="dead")
    found = store.outbox.get(delivery)
    assert found is not None
    assert ("delivered", None, (failed, delivered)) == (found.status, found.due, found.attempts)
    assert (store.outbox.due(), store.outbox.dead().total) == ([], 0)


def test_dead_letters(store: Store, clock: FixedClock) -> None:
    """Dead letters are listed by tenant, host and time, replayed from the start, and kept for a while."""
    gone = DeliveryAttempt(clock.now, "410", 1)
    first, second = ended(store), ended(store, "http://other.example/")
    for delivery in (first, second):
        clock.advance(10)
        store.outbox.record(delivery, gone, next_due=None, status="dead")

    def dead(**which) -> list[str]:
        return [delivery.id for delivery in store.outbox.dead(**which).items]

    assert [second, first] == dead() == dead(tenant=TENANT)
    assert [first] == dead(page=2, size=1) == dead(host="cb.example")
    assert [second] == dead(since=clock.now)
    assert [] == dead(tenant=OTHER)
    assert 1 == store.outbox.replay_where(host="cb.example")
    assert 0 == store.outbox.replay([first, "d0"])
    again = store.outbox.get(first)
    assert again is not None
    assert ("pending", clock.now, 1) == (again.status, again.due, again.replayed_after)
    clock.advance(31 * 86_400)
    store.jobs.prune()
    assert [] == dead()
    assert store.outbox.get(second) is None
    assert store.outbox.get(first) is not None


def test_attempts_are_kept_up_to_a_number(store: Store, clock: FixedClock) -> None:
    """Of more than a hundred attempts the oldest are dropped, also from those before the last replay."""
    delivery = ended(store)
    for number in range(90):
        attempt = DeliveryAttempt(number, "500", 1)
        store.outbox.record(delivery, attempt, next_due=None, status="dead")
    store.outbox.replay([delivery])
    for number in range(90, 120):
        store.outbox.record(delivery, DeliveryAttempt(number, "500", 1), next_due=0, status="pending")
    found = store.outbox.get(delivery)
    assert found is not None
    assert (70, list(range(20, 120))) == (found.replayed_after, [attempt.at for attempt in found.attempts])


def test_slots_of_a_host(store: Store, clock: FixedClock) -> None:
    """No more than the limit get a slot; those that wait follow in turn; a dead worker's slot expires."""
    slots = store.host_slots

    def acquire(delivery: str) -> Slot:
        return slots.acquire("h:80", delivery, limit=2, ttl_s=60)

    assert [Slot.ACQUIRED, Slot.ACQUIRED, Slot.QUEUED] == [acquire("a"), acquire("b"), acquire("c")]
    clock.advance(1)
    assert [Slot.QUEUED, Slot.QUEUED, Slot.DUPLICATE] == [acquire("d"), acquire("c"), acquire("a")]
    assert slots.release("h:80", "a", limit=2, ttl_s=60) == "c"
    assert slots.release("h:80", "b", limit=0, ttl_s=60) is None
    assert slots.acquire("other", "e", limit=1, ttl_s=60) is Slot.ACQUIRED
    clock.advance(61)
    assert [Slot.ACQUIRED, Slot.ACQUIRED, Slot.QUEUED] == [acquire("f"), acquire("g"), acquire("h")]
    assert slots.release("h:80", "f", limit=2, ttl_s=60) == "d"
    assert slots.release("h:80", "d", limit=2, ttl_s=60) == "h"
    assert slots.release("h:80", "h", limit=2, ttl_s=60) is None


def test_buckets(make: Make) -> None:
    """A bucket is opened once, closed and opened again with its queue; a region holds so many."""
    store = make(buckets_per_region=2, auto_open=False)
    bucket = store.tenants.open(TENANT)
    (queue,) = store.queues.search(TENANT, QueueFilter()).items
    store.tenants.close(TENANT)
    with pytest.raises(NoSuchBucket):
        store.tenants.close(TENANT)
    assert not store.tenants.is_open(TENANT)
    assert (bucket, [queue]) == (
        store.tenants.open(TENANT),
        store.queues.search(TENANT, QueueFilter()).items,
    )
    store.tenants.open(OTHER)
    with pytest.raises(BindedBucketNumLimit):
        store.tenants.open(Tenant("third-1250000000", TENANT.region))
    far = Tenant("third-1250000000", "ap-beijing")
    store.tenants.open(far)

    def buckets(**which) -> list[Tenant]:
        return [found.tenant for found in store.tenants.search(BucketFilter(**which)).items]

    assert {TENANT, OTHER, far} == set(buckets())
    assert [far] == buckets(regions=("ap-beijing",))
    assert [OTHER] == buckets(names=(OTHER.bucket,)) == buckets(name_part="other")


def test_queues(store: Store, clock: FixedClock) -> None:
    """What is given of a queue changes, the rest stays; another tenant's queue is unknown."""
    store.tenants.open(TENANT)
    (queue,) = store.queues.search(TENANT, QueueFilter()).items
    clock.advance(3)
    notify = NotifyConfig(state="On", event="TaskFinish", type="Url", url="http://q.example/")
    changed = store.queues.update(TENANT, queue.id, name="night", notify=notify, max_size=3)
    expected = dataclasses.replace(queue, name="night", notify=notify, max_size=3, updated=clock.now)
    assert expected == changed
    listing = store.queues.search(TENANT, QueueFilter(ids=(queue.id, "p1")))
    assert ([expected], 1, ("p1",)) == (listing.items, listing.total, listing.missing)
    assert [] == store.queues.search(TENANT, QueueFilter(state=QueueState.PAUSED)).items
    with pytest.raises(NoSuchQueue):
        store.queues.update(OTHER, queue.id, name="mine")


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
    assert store.jobs.claim("w", [2]) is not None
    released = store.jobs.claim("w", [1])
    assert released is not None
    store.jobs.release(released, delay_s=60)
    clock.advance(21)
    found = store.statistics.read()
    states = {State.SUCCESS: 1, State.SUBMITTED: 3, State.RUNNING: 1, State.PAUSE: 1}
    assert {state: states.get(state, 0) for state in State} == found.states
    loads = {load.tenant: load for load in found.queues}
    mine, theirs = loads[TENANT], loads[OTHER]
    assert ((2, 0, 0), 1, 5, False) == (mine.waiting, mine.running, mine.max_concurrent, mine.paused)
    assert (jobs[0].created, None, None) == mine.oldest
    assert ((1, 0, 0), 0, True) == (theirs.waiting, theirs.running, theirs.paused)
    assert (clock.now, 1, 1) == (found.at, found.delayed, found.expired_leases)
    callbacks = found.callbacks
    assert (1, 1, START, 0) == (callbacks.pending, callbacks.due, callbacks.oldest_due, callbacks.dead)
    gone = DeliveryAttempt(clock.now, "410", 1)
    store.outbox.record(delivery, gone, next_due=None, status="dead")
    store.jobs.reclaim(store.jobs.expired()[0], "sweeper")
    totals = {"created": 6, "ended:Success": 1, "leases_lost": 1, "callback_tries": 1, "callbacks:dead": 1}
    assert totals == store.statistics.read().totals
