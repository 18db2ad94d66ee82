"""Contract of a job store: calls that are repeated after a lost answer, and calls for what is another's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from stemline.jobs.batch import BatchState, Row
from stemline.jobs.errors import BucketFull, BudgetSpent, QueueFull, RequestRefused
from stemline.jobs.job import Job
from stemline.jobs.share import Share
from stemline.jobs.states import State
from stemline.jobs.store import JobFilter, QueueFilter, Store
from stemline.jobs.usage import NO_BUDGET, Budget
from stemline.testing import FixedClock
from tests.integration.jobs.contract import DONE, OTHER, TENANT, Make, spec, states
from tests.integration.jobs.test_store_batches import ID, feed, submit

IDS = [f"j{number:032x}" for number in range(3)]
BUDGET = Budget(jobs=3, audio_s=1000.0)


def create(store: Store, *ids: str) -> int:
    return store.jobs.create_many([spec(credential="AKIDa") for _ in ids], ids, budget=BUDGET)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, BudgetSpent),
        ({"queue_max_size": 3}, QueueFull),
        ({"job_bytes_per_bucket": 1}, BucketFull),
    ],
)
def test_a_repeated_submission_is_answered_whatever_is_full_by_now(
    make: Make, options: dict[str, int], error: type[Exception]
) -> None:
    """It says how many of the jobs there are, refuses nothing and adds nothing; a new job is refused."""
    store = make(**options)
    assert 3 == create(store, *IDS)
    budget = BUDGET if error is BudgetSpent else NO_BUDGET
    with pytest.raises(error):
        store.jobs.create_many([spec(credential="AKIDa")], ["j" + "f" * 32], budget=budget)
    (queue,) = store.queues.search(TENANT, QueueFilter()).items
    store.queues.update(TENANT, queue.id, max_size=1)
    assert [3, 1] == [create(store, *IDS), create(store, IDS[1])]
    assert [State.SUBMITTED] * 3 == states(store, *IDS)
    totals = store.statistics.read()
    assert (3, 3, (3, 0, 0)) == (
        totals.totals["created"],
        totals.states[State.SUBMITTED],
        totals.totals_of_queues.waiting,
    )


def test_a_repeated_submission_is_answered_when_its_audio_is_spent(store: Store) -> None:
    """Jobs that were accepted took the last of the day's audio since."""
    assert 2 == create(store, *IDS[:2])
    job = store.attempts.claim("w", [0])
    assert job is not None
    store.attempts.succeed(job, replace(DONE, audio_s=1000.0))
    assert 2 == create(store, *IDS[:2])
    with pytest.raises(BudgetSpent):
        create(store, *IDS)


def test_a_repeated_submission_changes_no_weight(store: Store) -> None:
    """The share of a credential has the weight that came with its last new job."""
    for weight, ids in ((50, IDS[:1]), (70, IDS[:2]), (90, IDS[:2])):
        specs = [replace(spec(credential="AKIDa"), weight=weight) for _ in ids]
        store.jobs.create_many(specs, ids)
    assert Share("AKIDa", 70) == store.shares.get("AKIDa")


@pytest.mark.parametrize("start", [lambda store: None, lambda store: store.attempts.claim("w", [0])])
def test_nobody_cancels_the_job_of_another(store: Store, start: Callable[[Store], object]) -> None:
    """Whether it waits or runs: it is an unknown one, as one that there is not, and its state stays."""
    (job,) = store.jobs.create([spec()])
    start(store)
    before = store.jobs.find(job.id)
    for tenant, name in ((OTHER, job.id), (TENANT, IDS[0])):
        with pytest.raises(RequestRefused, match=name):
            store.jobs.cancel(tenant, [name])
    assert before == store.jobs.find(job.id)


@pytest.mark.parametrize("fed", [0, 1, 2])
def test_a_cancel_gives_back_the_rows_that_are_no_jobs(store: Store, fed: int) -> None:
    """Of three rows, those that did not become jobs count for the budget no more, be it one."""
    store.batches.begin(ID, "", spec(), None, "u1")
    store.batches.append(ID, "u1", 0, [Row("in/a")] * 3)
    store.batches.seal(ID, "u1", "f" * 64, credential="AKIDa")
    feed(store, fed)
    store.batches.cancel(TENANT, ID)
    assert fed == store.usage.spent("AKIDa").jobs
    batch = store.batches.find(ID)
    assert batch is not None
    assert (3 - fed, fed) == (batch.cancelled, batch.waiting)


def test_a_sealed_batch_is_sealed_again(store: Store) -> None:
    """After a lost answer, with the same body; the rows count once."""
    submit(store, 3)
    store.batches.seal(ID, "u1", "f" * 64, credential="AKIDa")
    assert 0 == store.usage.spent("AKIDa").jobs
    assert 3 == feed(store)


@pytest.mark.parametrize("state", [State.SUCCESS, State.FAILED, State.CANCEL])
def test_a_batch_goes_on_until_its_last_row_has_ended(make: Make, clock: FixedClock, state: State) -> None:
    """However the first one ends; and again after a retry, which keeps it for longer than its retention."""
    store = make(retention_days=1, cancel_running=False)
    store.batches.begin(ID, "", spec(), None, "u1")
    store.batches.append(ID, "u1", 0, [Row("in/a")] * 2)
    store.batches.seal(ID, "u1", "f" * 64)
    feed(store)
    first, second = sorted(store.jobs.search(TENANT, JobFilter(batch=ID)).items, key=lambda job: job.created)
    if state is State.CANCEL:
        store.jobs.cancel(TENANT, [first.id])
    elif state is State.FAILED:
        store.attempts.fail(claimed(store), "AudioDamaged", "It is.")
    else:
        store.attempts.succeed(claimed(store), DONE)
    assert BatchState.ACTIVE is state_of(store)
    store.attempts.fail(claimed(store), "AudioDamaged", "It is.")
    assert BatchState.DONE is state_of(store)
    assert [] == store.outbox.due()
    store.jobs.create_many([replace(second.spec, origin=second.id)], [IDS[0]])
    assert BatchState.ACTIVE is state_of(store)
    clock.advance(90_000)
    store.jobs.prune()
    assert BatchState.ACTIVE is state_of(store)
    store.attempts.succeed(claimed(store), DONE)
    assert BatchState.DONE is state_of(store)


def claimed(store: Store) -> Job:
    job = store.attempts.claim("w", [0])
    assert job is not None
    return job


def state_of(store: Store) -> BatchState | None:
    batch = store.batches.find(ID)
    return None if batch is None else batch.state
