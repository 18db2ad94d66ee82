"""Contract of a job store: for which jobs workers are woken up, exactly, on a real Valkey and in memory."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stemline.jobs.job import Hop, Job, JobSpec
from stemline.jobs.queue import Override
from stemline.jobs.separation import AudioMode
from stemline.jobs.serving import COMMON, announced
from stemline.jobs.states import QueueState
from stemline.jobs.store import Store, WakeUp
from stemline.jobs.tenant import Tenant
from stemline.jobs.worker import Worker
from stemline.testing import FixedClock
from tests.integration.jobs.contract import DONE, OTHER, SECOND, TENANT, Make, spec


def running(store: Store, **changes) -> Job:
    store.jobs.create([spec(level=2, **changes)])
    job = store.attempts.claim("w", [2])
    assert job is not None
    return job


def waiting(store: Store, *levels: int) -> list[str]:
    return [store.jobs.create([spec(level=level)])[0].id for level in levels]


def woken(ids: list[str], wake_ups: list[WakeUp]) -> list[int]:
    """Return which of the jobs workers were woken up for, by number."""
    return [ids.index(each.job_id) for each in wake_ups]


@pytest.mark.parametrize(
    ("levels", "expected"),
    [((), []), ((0, 0), [0]), ((1,), [0]), ((1, 1, 0), [0]), ((0, 1, 2), [2]), ((0, 0, 1), [2])],
)
def test_the_end_of_a_job_wakes_one_worker(
    make: Make, wake_ups: list[WakeUp], levels: tuple[int, ...], expected: list[int]
) -> None:
    """For the first job of the highest level, also where several jobs may start."""
    store = make(queue_max_concurrent=4)
    job = running(store)
    ids = waiting(store, *levels)
    wake_ups.clear()
    store.attempts.succeed(job, DONE)
    assert expected == woken(ids, wake_ups)


@pytest.mark.parametrize("levels", [(0, 1, 2), (0, 0, 0), (1,)])
def test_a_queue_that_goes_on_wakes_workers_for_all(
    make: Make, clock: FixedClock, wake_ups: list[WakeUp], levels: tuple[int, ...]
) -> None:
    """After a pause, and after temporary limits: for each job that may start, the highest level first."""
    store = make(queue_max_concurrent=4)
    ids = waiting(store, *levels)
    (queue,) = {job.spec.queue_id for job in store.jobs.get(TENANT, ids) if job}
    expected = sorted(range(len(levels)), key=lambda number: -levels[number])
    store.queues.update(TENANT, queue, state=QueueState.PAUSED)
    start, _ = store.events.begin(TENANT)
    assert [] == woken(ids, wake_ups[len(ids) :])
    wake_ups.clear()
    store.queues.update(TENANT, queue, state=QueueState.ACTIVE)
    assert expected == woken(ids, wake_ups)
    store.queues.update(TENANT, queue, override=Override(clock() + SECOND, max_concurrent=1))
    clock.advance(1)
    wake_ups.clear()
    store.jobs.promote()
    assert expected == woken(ids, wake_ups)
    events = [event for event in store.events.read(TENANT, start) or [] if event.kind == "queue"]
    assert [("Active", 0), ("Active", 0)] == [(event.state, event.progress) for event in events]
    wake_ups.clear()
    store.jobs.promote()
    assert [] == wake_ups


def test_jobs_that_become_due_wake_as_many_workers(
    make: Make, clock: FixedClock, wake_ups: list[WakeUp]
) -> None:
    """One for each, of those whose time has come and of those that change their level."""
    store = make()
    later = clock() + 5 * SECOND
    store.jobs.create([spec(not_before=later), spec(not_before=later)])
    store.jobs.create([spec(hop=Hop(5, 1)), spec(hop=Hop(5, 1))])
    wake_ups.clear()
    clock.advance(6)
    store.jobs.promote()
    assert [0, 0, 1, 1] == [each.level for each in wake_ups]
    wake_ups.clear()
    store.jobs.promote()
    assert [] == wake_ups


def test_a_job_may_start_at_the_time_it_names(
    store: Store, clock: FixedClock, wake_ups: list[WakeUp]
) -> None:
    """One whose time is now waits for nothing; one whose time is a microsecond later does."""
    jobs = store.jobs.create([spec(not_before=clock()), spec(not_before=clock() + 1)])
    assert [0] == woken([job.id for job in jobs], wake_ups)
    claims = [store.attempts.claim("w", [0]) for _ in range(2)]
    assert [jobs[0].id, None] == [job and job.id for job in claims]


def test_a_job_that_waits_for_an_equal_one_gives_its_place_away(make: Make, wake_ups: list[WakeUp]) -> None:
    """One worker is woken up for the first job that waits, although more may start."""
    store = make(queue_max_concurrent=5)
    first, second = running(store), running(store)
    ids = waiting(store, 2, 2)
    store.attempts.reuse(first.id, first.token, "d" * 64)
    wake_ups.clear()
    assert store.attempts.reuse(second.id, second.token, "d" * 64).waits
    assert [0] == woken(ids, wake_ups)
    wake_ups.clear()
    store.attempts.release(first, delay_s=60)
    assert second.id in {each.job_id for each in wake_ups}


def test_a_job_that_stands_apart_wakes_one_worker(store: Store, wake_ups: list[WakeUp]) -> None:
    """Each time that a claim gives a job a line apart, one worker is woken up for the first of that line."""
    store.workers.report(Worker("v", "separation", 2, (0,), "cpu", "1.0", 5, serves=announced(COMMON)))
    music = replace(spec(), separate=replace(spec().separate, audio_mode=AudioMode.MUSIC_MODE))
    ids = [store.jobs.create([each])[0].id for each in (music, music, spec())]
    wake_ups.clear()
    claimed = store.attempts.claim("w", [0], {"AudioAndBackground"})
    assert claimed is not None
    assert ids[2] == claimed.id
    assert [0, 0] == woken(ids, wake_ups)
    assert {"MusicMode"} == {each.wants for each in wake_ups}


@pytest.mark.parametrize(("limit", "expected"), [(1, 1), (2, 2), (3, 3), (4, 4), (9, 5)])
@pytest.mark.parametrize("jobs", [(1, 4), (4, 1)])
def test_so_many_jobs_of_many_queues_may_start(
    make: Make, jobs: tuple[int, int], limit: int, expected: int
) -> None:
    """Of a queue with one job and one with several: no more than are asked for, and no fewer."""
    store = make(queue_max_concurrent=4)
    for tenant, count in zip((TENANT, OTHER), jobs, strict=True):
        store.jobs.create([spec(tenant=tenant) for _ in range(count)])
    found = [each.job_id for each in store.jobs.startable(0, limit)]
    assert expected == len(found) == len(set(found))


@pytest.mark.parametrize("room", [1, 2, 3, 4, 9])
@pytest.mark.parametrize(("plain", "weighted"), [(0, 3), (3, 0), (1, 2), (2, 2)])
def test_jobs_with_and_without_a_share_are_woken_for_together(
    make: Make, room: int, plain: int, weighted: int
) -> None:
    """No more than may start, those without a share first; each once."""
    store = make(queue_max_concurrent=room)
    ids = waiting(store, *[0] * plain)
    for _ in range(weighted):
        ids.append(store.jobs.create([replace(spec(credential="AKIDa"), weight=50)])[0].id)
    assert [*range(min(room, plain + weighted))] == woken(ids, store.jobs.startable(0, 99))


@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("tenant", [TENANT, OTHER])
def test_the_end_of_a_limited_job_wakes_a_worker_for_the_next(
    make: Make, wake_ups: list[WakeUp], level: int, tenant: Tenant
) -> None:
    """Of whatever level and queue that is; for one of them, and not for those behind it."""
    store = make(model_limits={"htdemucs": 1}, queue_max_concurrent=1)
    store.workers.report(Worker("v", "separation", 2, (0,), "cpu", "1.0", 5, serves=("htdemucs",)))

    def heavy(tenant: Tenant, level: int) -> JobSpec:
        plain = spec(tenant=tenant, level=level)
        return replace(plain, separate=replace(plain.separate, model="htdemucs"))

    store.jobs.create([heavy(TENANT, 2)])
    job = store.attempts.claim("w", [2], {"htdemucs"})
    assert job is not None
    ids = [store.jobs.create([heavy(tenant, level)])[0].id for _ in range(2)]
    wake_ups.clear()
    store.attempts.succeed(job, DONE)
    assert {0} == {*woken(ids, wake_ups)}


@pytest.mark.parametrize("room", [2, 3, 9])
def test_the_end_of_a_job_wakes_workers_for_those_that_wait_for_it(
    make: Make, wake_ups: list[WakeUp], room: int
) -> None:
    """As many as may start, each once, at each of their levels."""
    store = make(queue_max_concurrent=9)
    leader = running(store)
    store.attempts.reuse(leader.id, leader.token, "d" * 64)
    ids = waiting(store, 0, 0, 1, 1, 1)
    for _ in ids:
        job = store.attempts.claim("w", [0, 1])
        assert job is not None
        assert store.attempts.reuse(job.id, job.token, "d" * 64).waits
    store.queues.update(TENANT, leader.spec.queue_id, max_concurrent=room)
    waiting(store, 0, 1)  # behind them
    wake_ups.clear()
    store.attempts.succeed(leader, DONE)
    assert [0] == [*store.statistics.of_tenant(TENANT).later.values()]
    levels = {0: [0, 1], 1: [2, 3, 4]}
    expected = {level: numbers[:room] for level, numbers in levels.items()}
    found = {level: woken(ids, [each for each in wake_ups if each.level == level]) for level in levels}
    assert expected == found
