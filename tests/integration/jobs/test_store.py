"""The job store on a real Valkey: each promise of the design about a job, one by one."""

from __future__ import annotations

import dataclasses
from typing import cast

import pytest
import redis

from stemline.jobs.callback import CallbackRequest
from stemline.jobs.errors import (
    AsrBucketUnBinded,
    CancelAsked,
    IdempotencyConflict,
    IllegalTransition,
    LeaseLost,
    NoSuchTemplate,
    QueueFull,
    QueueNotFound,
    StoreUnavailable,
    TemplateNameDuplicate,
)
from stemline.jobs.job import JobSpec, Output, OutputFile, Result
from stemline.jobs.separation import AudioMode, Track, VoiceSeparate
from stemline.jobs.states import QueueState, State
from stemline.jobs.store import Idempotency, JobFilter, QueueFilter, RedisStore, Store, TemplateFilter, WakeUp
from stemline.jobs.tenant import Tenant
from stemline.runtime.settings import Settings
from stemline.runtime.store import store_options
from stemline.wire.errors import code_of, status_of

TENANT = Tenant("media-1250000000", "ap-chongqing")
OTHER = Tenant("other-1250000000", "ap-chongqing")
START = 1_790_000_000_000_000
SECOND = 1_000_000
DONE = Result(files=(OutputFile(Track.VOICE, "v.wav", "0" * 32, 1),), media_info={"Format": {}})


class Clock:
    """A clock that goes on only when told to."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += round(seconds * SECOND)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def wake_ups() -> list[WakeUp]:
    return []


@pytest.fixture
def make(valkey: redis.Redis, valkey_server, clock: Clock, wake_ups: list[WakeUp]):
    """Stores on one empty server, with settings of the test's choice."""
    client = redis.Redis.from_url(valkey_server.url, decode_responses=True)

    def make(**changes) -> Store:
        return RedisStore(client, store_options(Settings(**changes)), notify=wake_ups.extend, clock=clock)

    yield make
    client.close()


@pytest.fixture
def store(make) -> Store:
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


def test_one_way_through(store: Store, clock: Clock) -> None:
    """Submitted, Running, Success, with times, progress and result."""
    (job,) = store.jobs.create([spec()])
    clock.pass_(1)
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
    clock.pass_(5)
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


def test_buckets_take_turns(make) -> None:
    """One tenant's backlog does not block another's first job."""
    store = make(queue_max_concurrent=1000)
    mine = store.jobs.create([spec() for _ in range(50)])
    for _ in range(10):
        store.jobs.claim("w", [0])
    theirs = store.jobs.create([spec(tenant=OTHER) for _ in range(3)])
    claimed = [c.id for c in (store.jobs.claim("w", [0]) for _ in range(6)) if c]
    assert {j.id for j in theirs} < set(claimed)
    assert len(set(claimed) & {j.id for j in mine}) == 3


def test_ageing_lifts_old_jobs(make, clock: Clock) -> None:
    """With ageing on, a level-0 job that waited long goes before a young one of level 1."""
    store = make(level_ageing_s=60)
    (old,) = store.jobs.create([spec(level=0)])
    clock.pass_(121)
    store.jobs.create([spec(level=1)])
    claimed = store.jobs.claim("w", [2, 1, 0])
    assert claimed is not None
    assert old.id == claimed.id


def test_max_concurrent_holds_over_all_workers(make, wake_ups: list[WakeUp]) -> None:
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
    """A running job is told by its heartbeat, cannot succeed any more, and ends as Cancel."""
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


def test_vendor_behaviour_refuses_cancel_of_running(make) -> None:
    """With cancel_running off, a running job cannot be cancelled."""
    store = make(cancel_running=False)
    (job,) = store.jobs.create([spec()])
    store.jobs.claim("w", [0])
    with pytest.raises(IllegalTransition):
        store.jobs.cancel(TENANT, [job.id])


def test_a_stale_attempt_writes_nothing(store: Store, clock: Clock) -> None:
    """After its lease ran out and the job was seized, each write of the old attempt is refused."""
    (job,) = store.jobs.create([spec()])
    old = store.jobs.claim("w1", [0])
    assert old is not None
    assert store.jobs.expired() == []
    clock.pass_(21)
    assert [job.id] == store.jobs.expired()
    seized = store.jobs.reclaim(job.id, "sweeper")
    assert seized is not None
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
    store.jobs.release(seized, counts=True)
    new = store.jobs.claim("w2", [0])
    assert new is not None
    assert (job.id, 2) == (new.id, new.attempt)
    with pytest.raises(LeaseLost):
        store.jobs.succeed(old, DONE)
    store.jobs.succeed(new, DONE)


def test_a_worker_that_comes_back_in_time_keeps_its_job(store: Store, clock: Clock) -> None:
    """A heartbeat before the sweeper's seizure wins."""
    (job,) = store.jobs.create([spec()])
    claimed = store.jobs.claim("w1", [0])
    assert claimed is not None
    clock.pass_(21)
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


def test_a_delayed_job_waits_its_time(store: Store, clock: Clock, wake_ups: list[WakeUp]) -> None:
    """A job released with a delay is claimed only after it, and can be cancelled meanwhile."""
    one, two = store.jobs.create([spec(), spec()])
    for _ in range(2):
        claimed = store.jobs.claim("w", [0])
        assert claimed is not None
        store.jobs.release(claimed, delay_s=10)
    store.jobs.promote()
    assert store.jobs.claim("w", [0]) is None
    store.jobs.cancel(TENANT, [two.id])
    clock.pass_(11)
    wake_ups.clear()
    store.jobs.promote()
    assert [WakeUp(0, one.id)] == wake_ups
    claimed = store.jobs.claim("w", [0])
    assert claimed is not None
    assert one.id == claimed.id


def test_the_end_writes_the_outbox(store: Store, clock: Clock) -> None:
    """The callback is due the moment the job ends, is taken by one, and comes back if that one dies."""
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
    clock.pass_(31)
    assert [due] == store.outbox.due()


def test_saying_the_end_twice_is_harmless(store: Store) -> None:
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


def test_limits_of_submission(make) -> None:
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


def test_list_filters(store: Store, clock: Clock) -> None:
    """State as seen, queue, time bounds (inclusive) and input object each narrow the list."""
    (a,) = store.jobs.create([spec("a")])
    clock.pass_(10)
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


def test_templates(make) -> None:
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


def test_retention(store: Store, clock: Clock, valkey: redis.Redis) -> None:
    """Ended jobs go after their time with all that points at them; waiting ones never."""
    (kept,) = store.jobs.create([spec()])
    store.queues.update(TENANT, kept.spec.queue_id, max_concurrent=1)
    (gone,) = store.jobs.create([spec(level=1, callback=CallbackRequest(url="http://a/"))])
    claimed = store.jobs.claim("w", [1])
    assert claimed is not None
    store.jobs.succeed(claimed, DONE)
    clock.pass_(91 * 86_400)
    assert store.jobs.prune() == 1
    assert store.jobs.find(gone.id) is None
    assert [kept.id] == [j.id for j in store.jobs.search(TENANT, JobFilter()).items]
    keys = [k.decode() for k in cast("list[bytes]", valkey.keys("*"))]
    assert [k for k in keys if gone.id[1:] in k] == []


def test_an_unreachable_store_is_a_retryable_error(make) -> None:
    """Without a server every call says so with the wire's retryable code."""
    nowhere = redis.Redis(port=1, decode_responses=True)
    store = RedisStore(nowhere, store_options(Settings()))
    with pytest.raises(StoreUnavailable) as caught:
        store.jobs.create([spec()])
    assert (code_of(caught.value), status_of(caught.value)) == ("SlowDown", 503)
