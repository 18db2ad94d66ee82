"""Jobs chosen by a filter, on a real Valkey and in memory."""

from __future__ import annotations

import pytest

from stemline.jobs.event import Event
from stemline.jobs.states import State
from stemline.jobs.store import Counted, JobFilter, Store
from tests.integration.jobs.contract import DONE, OTHER, SECOND, START, TENANT, spec, states

WAITING = frozenset({State.SUBMITTED, State.PAUSE})


@pytest.fixture
def jobs(store: Store, clock) -> list[str]:
    """Six waiting jobs of three levels, a second apart, then one of another tenant."""
    found = []
    for number in range(6):
        clock.advance(1)
        name = f"{'night' if number % 2 else 'day'}/{number}.mp3"
        found += [job.id for job in store.jobs.create([spec(name, level=number // 2)])]
    store.jobs.create([spec(tenant=OTHER)])
    return found


@pytest.mark.parametrize(
    ("which", "chosen"),
    [
        (JobFilter(size=100), [0, 1, 2, 3, 4, 5]),
        (JobFilter(size=100, level=1), [2, 3]),
        (JobFilter(size=100, prefix="night/"), [1, 3, 5]),
        (JobFilter(size=100, prefix="nigh%"), []),
        (JobFilter(size=100, start=START + 3 * SECOND, end=START + 4 * SECOND), [2, 3]),
        (JobFilter(size=100, states=frozenset({State.RUNNING})), []),
        (JobFilter(size=100, queue_id="p0"), []),
        (JobFilter(size=100, input_object="day/4.mp3"), [4]),
        (JobFilter(size=100, level=2, prefix="day"), [4]),
    ],
)
def test_the_same_jobs_are_listed_counted_and_cancelled(store, jobs, which, chosen):
    """A filter means the same jobs whatever is done with them."""
    wanted = [jobs[number] for number in chosen]
    assert wanted[::-1] == [job.id for job in store.jobs.search(TENANT, which).items]
    assert Counted(len(chosen), None) == store.jobs.count(TENANT, which)
    assert Counted(len(chosen), None) == store.jobs.cancel_where(TENANT, which)
    left = [State.CANCEL if number in chosen else State.SUBMITTED for number in range(6)]
    assert left == states(store, *jobs)
    assert 1 == store.jobs.count(OTHER, JobFilter()).jobs


def test_a_cancel_goes_on_where_it_stopped(store, jobs):
    """Calls that follow the cursor cancel every job that matches, each once."""
    cursor: str | None = None
    counts: list[int] = []
    while cursor is not None or not counts:
        part = store.jobs.cancel_where(TENANT, JobFilter(states=WAITING, size=2, cursor=cursor))
        cursor = part.cursor
        counts.append(part.jobs)
    assert 6 == sum(counts)
    assert {State.CANCEL} == set(states(store, *jobs))


def test_a_cancelled_selection_is_told_and_frees_its_places(store, jobs):
    """Each cancelled job leaves an event, and none of them is claimed."""
    begin, _ = store.events.begin(TENANT)
    store.jobs.cancel_where(TENANT, JobFilter(size=100))
    events: list[Event] = store.events.read(TENANT, begin)
    assert sorted(jobs) == sorted(event.subject for event in events if event.state == "Cancel")
    claimed = store.attempts.claim("w", [0, 1, 2])
    assert OTHER == claimed.spec.tenant
    assert store.attempts.claim("w", [0, 1, 2]) is None


@pytest.mark.parametrize("cancel_running", [True, False])
def test_running_jobs_are_asked_to_stop_and_ended_ones_left(make, cancel_running):
    """A running job is flagged where that is possible, an ended one stays as it is."""
    store = make(cancel_running=cancel_running)
    done, running = (job.id for job in store.jobs.create([spec(), spec()]))
    store.attempts.succeed(store.attempts.claim("w", [0]), DONE)
    store.attempts.claim("w", [0])
    assert int(cancel_running) == store.jobs.cancel_where(TENANT, JobFilter(size=100)).jobs
    assert [State.SUCCESS, State.RUNNING] == states(store, done, running)
    assert cancel_running == store.jobs.find(running).cancel_requested


def test_jobs_with_ids_are_stored_once(store):
    """Submitting the same ids again stores the missing ones only."""
    ids = [f"j{number:032x}" for number in range(3)]
    store.jobs.create_many([spec(), spec()], ids[:2])
    store.jobs.create_many([spec()] * 3, ids)
    assert sorted(ids) == sorted(job.id for job in store.jobs.search(TENANT, JobFilter()).items)
    assert 3 == store.statistics.read().totals["created"]


def test_a_group_wakes_as_many_workers_as_may_run(make, wake_ups):
    """Of many jobs submitted at once, wake-ups are sent for those that may start now, the oldest first."""
    store = make(queue_max_concurrent=3)
    store.jobs.create_many([spec()] * 2 + [spec(level=2)] * 5)
    assert [0, 0, 2, 2, 2] == sorted(wake_up.level for wake_up in wake_ups)
    store.jobs.create_many([spec()] * 2)
    assert 6 == len(wake_ups)
