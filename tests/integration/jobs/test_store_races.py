"""Races over the job store, run many times on a real Valkey, and its behaviour with many jobs."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from stemline.jobs.errors import IllegalTransition
from stemline.jobs.job import JobSpec, Output, OutputFile, Result
from stemline.jobs.separation import AudioMode, Track, VoiceSeparate
from stemline.jobs.states import QueueState, State
from stemline.jobs.store import JobFilter, QueueFilter, RedisStore, Store, StoreOptions
from stemline.jobs.tenant import Tenant
from tests.conftest import ValkeyServer
from tests.support.rounds import rounds

TENANT = Tenant("media-1250000000", "ap-chongqing")
OTHER = Tenant("other-1250000000", "ap-chongqing")
DONE = Result(files=(OutputFile(Track.VOICE, "v.wav", "0" * 32, 1),), media_info={"Format": {}})
ALL_LEVELS = (2, 1, 0)
RACES = rounds(1_000, 10_000)


@pytest.fixture
def make(valkey: redis.Redis, valkey_server: ValkeyServer) -> Iterator[Callable[..., Store]]:
    """Stores with clients of their own on one empty server."""
    made: list[Store] = []

    def make(**changes: Any) -> Store:
        changes = {"queue_max_size": 200_000, "queue_max_concurrent": 200_000, **changes}
        made.append(RedisStore.open(valkey_server.url, StoreOptions(**changes)))
        return made[-1]

    yield make
    for store in made:
        store.close()


def submit(store: Store, count: int, *, tenant: Tenant = TENANT, level: int = 0) -> list[str]:
    output = Output(tenant.region, tenant.bucket, au_object="out/${jobid}")
    spec = JobSpec(tenant, "in/a", VoiceSeparate(AudioMode.IS_AUDIO), output, level=level)
    ids: list[str] = []
    while len(ids) < count:
        ids += [job.id for job in store.jobs.create([spec] * min(500, count - len(ids)))]
    return ids


def together(*actions: Callable[[], None]) -> None:
    """Run actions in threads that start at the same moment."""
    gate = threading.Barrier(len(actions))

    def run(action: Callable[[], None]) -> None:
        gate.wait()
        action()

    threads = [threading.Thread(target=run, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.slow
def test_cancel_against_claim_has_one_winner(make: Callable[..., Store]) -> None:
    """In many races over a waiting job, it is cancelled or claimed, and never both or neither."""
    clients, workers = make(cancel_running=False), make(cancel_running=False)
    ids = submit(clients, RACES)
    gate = threading.Barrier(2)
    cancelled: set[str] = set()
    claimed: set[str] = set()
    nothing = 0

    def meet(head_start: random.Random) -> None:
        gate.wait()
        time.sleep(head_start.choice([0.0, 0.0, 0.0001, 0.002]))

    def cancel() -> None:
        chance = random.Random(1)
        for job_id in ids:
            meet(chance)
            try:
                clients.jobs.cancel(TENANT, [job_id])
                cancelled.add(job_id)
            except IllegalTransition:
                pass
            gate.wait()

    def claim() -> None:
        nonlocal nothing
        chance = random.Random(2)
        for job_id in ids:
            meet(chance)
            # All that came before is over, so the oldest job is the one that is being cancelled.
            job = workers.attempts.claim("w", ALL_LEVELS)
            if job is not None and job.id == job_id:
                claimed.add(job_id)
            elif job is not None:
                workers.attempts.release(job)
                nothing += 1
            else:
                nothing += 1
            gate.wait()

    together(cancel, claim)
    assert set(ids) == cancelled | claimed
    assert not cancelled & claimed
    assert len(cancelled) == nothing
    assert min(len(cancelled), len(claimed)) > RACES // 50, "one side was never near: no race was run"


@pytest.mark.slow
def test_a_claimed_job_has_one_worker(make: Callable[..., Store]) -> None:
    """Four workers that empty one queue together never get the same job."""
    stores = [make() for _ in range(4)]
    ids = submit(stores[0], 2_000)
    claims: list[str] = []

    def work(store: Store) -> None:
        while (job := store.attempts.claim("w", ALL_LEVELS)) is not None:
            claims.append(job.id)

    together(*(lambda s=s: work(s) for s in stores))
    assert sorted(ids) == sorted(claims)


def test_cancel_against_success_has_one_winner(make: Callable[..., Store]) -> None:
    """A running job that is cancelled at the moment of its success ends as exactly one of the two."""
    clients, workers = make(), make()
    submit(clients, 500)
    outcomes: Counter[State] = Counter()
    for _ in range(500):
        job = workers.attempts.claim("w", ALL_LEVELS)
        assert job is not None

        def succeed(job=job) -> None:
            try:
                workers.attempts.succeed(job, DONE)
            except Exception:  # noqa: BLE001 - CancelAsked: the other one was faster
                workers.attempts.confirm_cancel(job)

        def cancel(job=job) -> None:
            try:
                clients.jobs.cancel(TENANT, [job.id])
            except IllegalTransition:
                outcomes[State.SUCCESS] += 1
            else:
                outcomes[State.CANCEL] += 1

        together(succeed, cancel)
        now = clients.jobs.find(job.id)
        assert now is not None
        outcomes[now.state] -= 1
    assert set(outcomes.values()) == {0}, "the answer to a cancel was not what happened"


def test_a_pause_costs_the_same_for_any_number_of_jobs(
    make: Callable[..., Store], valkey: redis.Redis
) -> None:
    """The server runs no more commands to pause and resume 2,000 jobs than 200; the old order is kept."""
    store, ids, costs = make(), [], []
    for count in (200, 1_800):
        ids += submit(store, count)
        (queue,) = store.queues.search(TENANT, QueueFilter()).items
        valkey.config_resetstat()
        store.queues.update(TENANT, queue.id, state=QueueState.PAUSED)
        assert store.attempts.claim("w", ALL_LEVELS) is None
        shown = store.jobs.get(TENANT, [ids[0], ids[-1]])
        assert {State.PAUSE} == {job.state for job in shown if job}
        ids += submit(store, 1)
        store.queues.update(TENANT, queue.id, state=QueueState.ACTIVE)
        costs.append(sum(each["calls"] for each in valkey.info("commandstats").values()))
    assert costs[1] <= costs[0]
    assert ids == [job.id for _ in range(2_003) if (job := store.attempts.claim("w", ALL_LEVELS))]


def test_a_backlog_does_not_block_another_tenant(make: Callable[..., Store]) -> None:
    """Behind 2,000 jobs of one bucket, each of another bucket's five is at most the second to start."""
    store = make()
    submit(store, 2_000)
    few = set(submit(store, 5, tenant=OTHER))
    started = [store.attempts.claim("w", ALL_LEVELS) for _ in range(10)]
    assert few == {job.id for job in started if job and job.spec.tenant == OTHER}


def test_max_concurrent_holds_against_many_claimers(make: Callable[..., Store], valkey: redis.Redis) -> None:
    """Four workers claiming and finishing at once never run more of a queue than it allows."""
    stores = [make() for _ in range(4)]
    submit(stores[0], 400)
    (queue,) = stores[0].queues.search(TENANT, QueueFilter()).items
    stores[0].queues.update(TENANT, queue.id, max_concurrent=3)
    held = [job for _ in range(4) if (job := stores[0].attempts.claim("w", ALL_LEVELS))]
    assert 3 == len(held)
    for job in held:
        stores[0].attempts.release(job)
    key = f"stemline:running:{queue.id}"
    seen: list[int] = []
    done = Counter[str]()

    def work(store: Store) -> None:
        while len(done) < 400:
            job = store.attempts.claim("w", ALL_LEVELS)
            if job is None:
                continue
            seen.append(valkey.scard(key))
            done[job.id] += 1
            store.attempts.succeed(job, DONE)

    together(*(lambda s=s: work(s) for s in stores))
    assert {1} == set(done.values())
    assert max(seen) <= 3


def test_pages_are_stable_while_jobs_arrive_and_change(make: Callable[..., Store]) -> None:
    """Someone who pages through 3,000 jobs sees each once, while others submit, claim and finish."""
    reader, writer = make(), make()
    ids = submit(reader, 3_000)
    over = threading.Event()
    seen: list[str] = []

    def write() -> None:
        while not over.is_set():
            submit(writer, 20)
            for _ in range(20):
                job = writer.attempts.claim("w", ALL_LEVELS)
                if job is not None:
                    writer.attempts.succeed(job, DONE)

    def read() -> None:
        cursor: str | None = None
        while True:
            page = reader.jobs.search(TENANT, JobFilter(size=100, cursor=cursor))
            seen.extend(job.id for job in page.items)
            cursor = page.cursor
            if cursor is None:
                over.set()
                return

    together(write, read)
    assert ids == [job_id for job_id in reversed(seen) if job_id in set(ids)]
    assert len(seen) == len(set(seen))
