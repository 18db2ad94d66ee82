"""What two requests do at the same moment, on a real Valkey and in memory: nothing is made or lost twice."""

from __future__ import annotations

import dataclasses

import pytest

from stemline.jobs.batch import Row, row_job_id, row_spec
from stemline.jobs.delivery import DeliveryAttempt
from stemline.jobs.errors import (
    BatchesFull,
    BudgetSpent,
    ChangedMeanwhile,
    IllegalTransition,
    RequestRefused,
    RowRetried,
)
from stemline.jobs.job import Job, JobSpec
from stemline.jobs.queue import NotifyConfig
from stemline.jobs.separation import AudioMode, VoiceSeparate
from stemline.jobs.states import State
from stemline.jobs.store import JobFilter, QueueFilter, Store
from stemline.jobs.usage import Budget
from tests.integration.jobs.contract import OTHER, TENANT, ended, spec
from tests.integration.jobs.test_store_batches import ID, end, feed, shown, submit

FAILED = JobFilter(states=frozenset({State.FAILED}), unretried=True, size=100)


def failed_row(store: Store) -> Job:
    """A failed row of a batch of two."""
    submit(store, 2)
    feed(store)
    end(store, State.FAILED)
    (found,) = store.jobs.search(TENANT, FAILED).items
    return found


def again(*jobs: Job) -> list[JobSpec]:
    return [dataclasses.replace(job.spec, origin=job.id) for job in jobs]


def test_a_filter_is_retried_once(store: Store) -> None:
    """Two requests that read the same failed jobs make one retry of each; the second makes none."""
    store.jobs.create([spec(), spec()])
    end(store, State.FAILED)
    end(store, State.FAILED)
    seen = store.jobs.search(TENANT, FAILED).items
    assert [2, 0] == [store.jobs.create_many(again(*seen), unretried=True) for _ in range(2)]
    assert 4 == store.jobs.count(TENANT, JobFilter(size=100)).jobs


def test_a_call_names_a_job_twice(store: Store) -> None:
    """A job that one call retries twice gets one retry."""
    (job,) = store.jobs.create([spec()])
    store.jobs.cancel(TENANT, [job.id])
    assert 1 == store.jobs.create_many(again(job, job), unretried=True)


def test_a_row_is_retried_once(store: Store) -> None:
    """A row counts for one job: a second retry is refused by name of the first, and all rows still add up."""
    row = failed_row(store)
    (retry,) = store.jobs.create(again(row))
    with pytest.raises(RowRetried, match=retry.id):
        store.jobs.create(again(row))
    assert 0 == store.jobs.create_many(again(row), unretried=True)
    assert (2, 0, 0, 0, 0) == shown(store)
    with pytest.raises(RowRetried):
        store.jobs.create(again(retry, retry))


def test_rows_that_become_jobs_during_a_cancel_count_once(store: Store) -> None:
    """A batch that is cancelled between the making of its jobs and their count has as many rows as before."""
    submit(store, 3)
    batch = store.batches.find(ID)
    first, rows = store.batches.take(ID, most=2, max_waiting=10)
    store.jobs.create_many([row_spec(batch, row) for row in rows], [row_job_id(ID, n) for n in range(2)])
    store.batches.cancel(TENANT, ID)
    store.batches.fed(ID, first, 2)
    assert (2, 0, 0, 0, 1) == shown(store)
    store.jobs.cancel_where(TENANT, JobFilter(batch=ID, size=100))
    assert (0, 0, 0, 0, 3) == shown(store)


def test_a_budget_is_checked_where_it_is_spent(store: Store, clock) -> None:
    """Whoever submits, the store refuses what is over the budget of the day, and stores nothing of it."""
    budget = Budget(jobs=3)
    store.jobs.create([spec(credential="a")] * 2, budget=budget)
    with pytest.raises(BudgetSpent):
        store.jobs.create([spec(credential="a")] * 2, budget=budget)
    with pytest.raises(BudgetSpent):
        store.jobs.create_many([spec(credential="a", tenant=OTHER)] * 2, budget=budget)
    store.jobs.create([spec(credential="a")], budget=budget)
    store.jobs.create([spec(credential="b")], budget=budget)
    with pytest.raises(BudgetSpent):
        store.jobs.create([spec(credential="b")], budget=Budget(audio_s=0))
    assert 4 == store.jobs.count(TENANT, JobFilter(size=100)).jobs
    assert not store.tenants.is_open(OTHER)
    clock.advance(86_400)
    store.jobs.create([spec(credential="a")], budget=budget)


def load(store: Store, batch_id: str, rows: int, upload: str = "u") -> None:
    """Send rows of a batch that is not accepted yet."""
    store.batches.begin(batch_id, "", spec(credential="a"), None, upload)
    store.batches.append(batch_id, upload, 0, [Row(f"in/{n}") for n in range(rows)])


def test_the_rows_of_a_batch_count_when_it_is_accepted(store: Store, clock) -> None:
    """All rows count for the budget at once; those that are cancelled before they are jobs are given back."""
    today = clock() // 86_400_000_000
    budget = Budget(jobs=5)
    load(store, ID, 6)
    with pytest.raises(BudgetSpent):
        store.batches.seal(ID, "u", "f" * 64, credential="a", budget=budget)
    assert 0 == store.usage.spent("a").jobs
    load(store, ID, 5)
    for _ in range(2):  # repeated after a lost answer
        store.batches.seal(ID, "u", "f" * 64, credential="a", budget=budget)
    assert 5 == store.usage.spent("a").jobs
    feed(store, 2)
    assert 5 == store.usage.spent("a").jobs
    with pytest.raises(BudgetSpent):
        store.jobs.create([spec(credential="a")], budget=budget)
    store.batches.cancel(TENANT, ID)
    assert 2 == store.usage.spent("a").jobs
    assert [2] == [usage.jobs for usage in store.usage.read(TENANT, today, today)]


B = ["b" + f"{n:032x}" for n in range(5)]


def test_batches_of_a_tenant_are_limited(make) -> None:
    """Only so many batches, rows and bytes are held until they are jobs; other tenants have their own."""
    store = make(batches_per_bucket=2, batch_rows_per_bucket=5, batch_bytes_per_bucket=1000)
    load(store, B[0], 2)
    load(store, B[1], 2)
    with pytest.raises(BatchesFull):
        load(store, B[2], 1)
    load(store, B[1], 3)  # it begins anew
    with pytest.raises(BatchesFull):
        store.batches.append(B[1], "u", 3, [Row("in/x")])
    store.batches.begin(B[3], "", spec(tenant=OTHER), None, "u")
    with pytest.raises(RequestRefused):
        store.batches.append(B[3], "u", 0, [Row("x")] * 6)
    with pytest.raises(RequestRefused):
        store.batches.append(B[3], "u", 0, [Row("x" * 1000)])
    store.batches.append(B[3], "u", 0, [Row("x" * 600)])
    with pytest.raises(RequestRefused):
        store.batches.append(B[3], "u", 1, [Row("x" * 600)])


def test_rows_that_are_jobs_make_room(make) -> None:
    """Rows that became jobs, were cancelled or dropped are held no more, and leave room for others."""
    store = make(batches_per_bucket=2, batch_rows_per_bucket=4)
    load(store, ID, 4)
    store.batches.seal(ID, "u", "f" * 64)
    with pytest.raises(BatchesFull):
        load(store, B[0], 1)
    feed(store, 1)
    load(store, B[0], 1)
    store.batches.drop(B[0], "another upload")
    with pytest.raises(BatchesFull):
        store.batches.begin(B[1], "", spec(), None, "u")
    store.batches.drop(B[0], "u")
    store.batches.drop(ID, "u")  # it was accepted
    assert store.batches.find(B[0]) is None
    feed(store)
    load(store, B[0], 4)
    store.batches.seal(B[0], "u", "f" * 64)
    store.batches.cancel(TENANT, B[0])
    load(store, B[1], 4)


def test_a_change_of_a_queue_is_not_lost(store: Store) -> None:
    """Of two changes made from the same values of a queue, the second is refused; a change of any is not."""
    (job,) = store.jobs.create([spec()])
    queue = store.queues.search(TENANT, QueueFilter()).items[0]
    changed = store.queues.update(
        TENANT, queue.id, notify=NotifyConfig(url="http://a/"), revision=queue.revision
    )
    with pytest.raises(ChangedMeanwhile):
        store.queues.update(TENANT, queue.id, name="night", revision=queue.revision)
    store.queues.update(TENANT, queue.id, name="night", revision=changed.revision)
    store.queues.update(TENANT, queue.id, max_size=7)
    found = store.queues.search(TENANT, QueueFilter()).items[0]
    assert ("http://a/", "night", 7) == (found.notify.url, found.name, found.max_size)
    assert job.spec.queue_id == found.id


def test_a_change_of_a_template_is_not_lost(store: Store) -> None:
    """Of two changes made from the same values of a template, the second is refused."""
    voice = VoiceSeparate(AudioMode.IS_AUDIO)
    template = store.templates.create(TENANT, "voice", voice)
    store.templates.update(TENANT, template.id, name="solo", revision=template.revision)
    with pytest.raises(ChangedMeanwhile):
        store.templates.update(TENANT, template.id, separate=voice, revision=template.revision)
    assert "solo" == store.templates.update(TENANT, template.id, separate=voice).name


def test_dead_letters_are_replayed_together(store: Store) -> None:
    """Of two requests that replay the same dead letter, the second is refused and replays no other one."""
    first, second = ended(store), ended(store)
    for delivery in (first, second):
        store.outbox.record(delivery, DeliveryAttempt(1, "500", 1), next_due=None, status="dead")
    store.outbox.replay_all(TENANT, [first])
    with pytest.raises(IllegalTransition, match=f"{first} is pending"):
        store.outbox.replay_all(TENANT, [second, first])
    assert [second] == [each.id for each in store.outbox.dead(tenant=TENANT).items]
