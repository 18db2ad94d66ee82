"""Batches, on a real Valkey and in memory."""

from __future__ import annotations

import dataclasses

import pytest

from stemline.jobs.batch import Batch, BatchState, Row, row_job_id, row_spec
from stemline.jobs.callback import CallbackTarget
from stemline.jobs.delivery import DeliveryAttempt
from stemline.jobs.errors import IllegalTransition, NoSuchBatch, UploadSuperseded
from stemline.jobs.states import State
from stemline.jobs.store import Counted, JobFilter, Page, Store
from tests.integration.jobs.contract import DONE, OTHER, TENANT, spec

ID = "b" + "1" * 32
TARGET = CallbackTarget("Url", "JSON", "http://receiver.example/batch")


def submit(store: Store, rows: int = 5, batch_id: str = ID) -> None:
    """Submit a batch whose rows are not jobs yet."""
    assert store.batches.begin(batch_id, "night", spec(), TARGET, "u1") is None
    store.batches.append(batch_id, "u1", 0, [Row(f"in/{n}.mp3", user_data=str(n)) for n in range(rows)])
    store.batches.seal(batch_id, "u1", "f" * 64)


def feed(store: Store, most: int = 100, max_waiting: int = 100, batch_id: str = ID) -> int:
    """Make jobs of rows as a feeder does."""
    batch = store.batches.find(batch_id)
    first, rows = store.batches.take(batch_id, most=most, max_waiting=max_waiting)
    if rows:
        ids = [row_job_id(batch_id, first + n) for n in range(len(rows))]
        store.jobs.create_many([row_spec(batch, row) for row in rows], ids)
        store.batches.fed(batch_id, first, len(rows))
    return len(rows)


def end(store: Store, state: State) -> None:
    held = store.attempts.claim("w", [0])
    if state is State.SUCCESS:
        store.attempts.succeed(held, DONE)
    else:
        store.attempts.fail(held, "AudioDamaged", "It is.")


def shown(store: Store) -> tuple[int, ...]:
    batch = store.batches.get(TENANT, ID)
    return batch.waiting, batch.running, batch.success, batch.failed, batch.cancelled


def test_rows_become_jobs_and_end(store):
    """A batch counts its rows by state from the first to the last; its end is announced once."""
    submit(store)
    assert (5, 0, 0, 0, 0) == shown(store)
    assert [ID] == store.batches.with_pending_rows()
    assert 5 == feed(store)
    assert [] == store.batches.with_pending_rows()
    jobs = store.jobs.search(TENANT, JobFilter(batch=ID, order="Asc")).items
    assert [f"in/{n}.mp3" for n in range(5)] == [job.spec.input_object for job in jobs]
    assert ["0", "1", "2", "3", "4"] == [job.spec.user_data for job in jobs]
    for number, state in enumerate([State.SUCCESS, State.FAILED, State.SUCCESS, State.SUCCESS]):
        end(store, state)
        assert number + 1 == sum(shown(store)[2:])
    assert (1, 0, 3, 1, 0) == shown(store)
    assert (80, BatchState.ACTIVE) == (store.batches.find(ID).progress, store.batches.find(ID).state)
    assert [] == store.outbox.due()
    end(store, State.SUCCESS)
    batch = store.batches.find(ID)
    assert (BatchState.DONE, 100, store.now()) == (batch.state, batch.progress, batch.ended)
    (delivery,) = store.outbox.due()
    assert (ID, TARGET) == (store.outbox.get(delivery).job_id, store.outbox.get(delivery).target)


def test_only_some_rows_wait_at_a_time(store):
    """Rows become jobs in order, so many at a time that no more than some wait; each becomes one job."""
    submit(store, 10)
    assert [2, 1, 0] == [feed(store, 2, 3), feed(store, 2, 3), feed(store, 2, 3)]
    end(store, State.SUCCESS)
    assert 1 == feed(store, 2, 3)
    assert (9, 0, 1, 0, 0) == shown(store)
    assert 4 == store.jobs.count(TENANT, JobFilter(batch=ID, size=100)).jobs


def test_two_feeders_make_one_job_of_a_row(store):
    """Rows that two processes take at once become one job each, and are counted once."""
    submit(store, 3)
    batch = store.batches.find(ID)
    taken = [store.batches.take(ID, most=10, max_waiting=10) for _ in range(2)]
    for first, rows in taken:
        ids = [row_job_id(ID, first + n) for n in range(len(rows))]
        store.jobs.create_many([row_spec(batch, row) for row in rows], ids)
    for first, rows in taken:
        store.batches.fed(ID, first, len(rows))
    assert (3, 0, 0, 0, 0) == shown(store)
    assert 3 == store.batches.find(ID).fed


def test_a_paused_batch_starts_nothing(store):
    """A paused batch gives no job to workers and takes no rows; other jobs go on, and it resumes in order."""
    submit(store, 4)
    feed(store, 2)
    held = store.attempts.claim("w", [0])
    (other,) = store.jobs.create([spec()])
    store.batches.pause(TENANT, ID)
    assert 0 == feed(store)
    assert State.PAUSE in {job.state for job in store.jobs.search(TENANT, JobFilter(batch=ID)).items}
    assert other.id == store.attempts.claim("w", [0]).id
    assert store.attempts.claim("w", [0]) is None
    store.attempts.release(held)
    assert store.attempts.claim("w", [0]) is None
    store.batches.resume(TENANT, ID)
    assert held.id == store.attempts.claim("w", [0]).id
    assert 2 == feed(store)
    assert [f"in/{n}.mp3" for n in (1, 2, 3)] == [
        store.attempts.claim("w", [0]).spec.input_object for _ in range(3)
    ]


def test_a_cancelled_batch_counts_every_row(store):
    """Cancelling drops the rows that are no jobs; with its jobs cancelled the batch is over."""
    submit(store, 5)
    feed(store, 2)
    first, rows = store.batches.take(ID, most=1, max_waiting=10)
    store.batches.cancel(TENANT, ID)
    store.jobs.create_many([row_spec(store.batches.find(ID), rows[0])], [row_job_id(ID, first)])
    store.batches.fed(ID, first, 1)
    assert (2, 0, 0, 0, 3) == shown(store)
    assert 2 == store.jobs.cancel_where(TENANT, JobFilter(batch=ID, size=100)).jobs
    batch = store.batches.find(ID)
    assert (BatchState.CANCEL, 5, 100) == (batch.state, batch.cancelled, batch.progress)
    assert 1 == len(store.outbox.due())
    assert [] == store.batches.with_pending_rows()
    with pytest.raises(IllegalTransition):
        store.batches.resume(TENANT, ID)


def test_a_retried_row_counts_for_its_new_job(store):
    """A retry of a failed row opens a batch that was done again; its end is announced again."""
    submit(store, 2)
    feed(store)
    end(store, State.FAILED)
    end(store, State.SUCCESS)
    assert (0, 0, 1, 1, 0) == shown(store)
    (failed,) = store.jobs.search(TENANT, JobFilter(batch=ID, states=frozenset({State.FAILED}))).items
    store.jobs.create([dataclasses.replace(failed.spec, origin=failed.id)])
    assert (1, 0, 1, 0, 0) == shown(store)
    assert BatchState.ACTIVE == store.batches.find(ID).state
    end(store, State.SUCCESS)
    assert (0, 0, 2, 0, 0) == shown(store)
    assert BatchState.DONE == store.batches.find(ID).state


@pytest.mark.parametrize("is_sent", [False, True], ids=["not yet sent", "sent and not yet recorded"])
def test_a_batch_that_ends_again_is_announced_again(store, clock, is_sent):
    """An end that was not announced before a row was retried is replaced by the next end, in any order."""
    submit(store, 2)
    feed(store)
    end(store, State.FAILED)
    end(store, State.SUCCESS)
    (due,) = store.outbox.due()
    sent = store.outbox.reserve(due, 30) if is_sent else None
    (failed,) = store.jobs.search(TENANT, JobFilter(batch=ID, states=frozenset({State.FAILED}))).items
    clock.advance(1)
    store.jobs.create([dataclasses.replace(failed.spec, origin=failed.id)])
    assert [] == store.outbox.due()
    end(store, State.SUCCESS)
    if sent is not None:
        attempt = DeliveryAttempt(clock.now, "200", 8)
        store.outbox.record(due, attempt, next_due=None, status="delivered", created=sent.created)
    assert [due] == store.outbox.due()
    again = store.outbox.reserve(due, 30)
    assert again is not None
    store.outbox.record(
        due, DeliveryAttempt(clock.now, "200", 8), next_due=None, status="delivered", created=again.created
    )
    assert "delivered" == store.outbox.get(due).status


def test_an_upload_that_broke_off_leaves_nothing(store):
    """Until it is sealed a batch is not listed and has no jobs; the next upload begins anew."""
    store.batches.begin(ID, "one", spec(), None, "u1")
    store.batches.append(ID, "u1", 0, [Row("in/old.mp3")])
    assert store.batches.get(TENANT, ID) is None
    assert [] == store.batches.with_pending_rows()
    store.batches.begin(ID, "two", spec(), None, "u2")
    for call in (
        lambda: store.batches.append(ID, "u1", 0, [Row("in/old.mp3")]),
        lambda: store.batches.seal(ID, "u1", ""),
    ):
        with pytest.raises(UploadSuperseded):
            call()
    store.batches.append(ID, "u2", 0, [Row("in/new.mp3")])
    store.batches.seal(ID, "u2", "a" * 64)
    assert "a" * 64 == store.batches.begin(ID, "three", spec(), None, "u3")
    batch = store.batches.get(TENANT, ID)
    assert ("two", 1, BatchState.ACTIVE) == (batch.name, batch.rows, batch.state)
    feed(store)
    assert ["in/new.mp3"] == [job.spec.input_object for job in store.jobs.search(TENANT, JobFilter()).items]


def test_calls_of_an_upload_may_be_repeated(store):
    """A call whose answer was lost is made again: rows are added once, a batch is accepted once."""
    store.batches.begin(ID, "one", spec(), None, "u1")
    for first, names in ((0, "ab"), (0, "ab"), (2, "c"), (2, "c")):
        store.batches.append(ID, "u1", first, [Row(f"in/{name}.mp3") for name in names])
    for first in (0, 1, 5):
        with pytest.raises(UploadSuperseded):
            store.batches.append(ID, "u1", first, [Row("in/x.mp3")])
    for _ in range(2):
        store.batches.seal(ID, "u1", "a" * 64)
    with pytest.raises(UploadSuperseded):
        store.batches.seal(ID, "u1", "b" * 64)
    assert 3 == store.batches.get(TENANT, ID).rows
    feed(store)
    keys = [job.spec.input_object for job in store.jobs.search(TENANT, JobFilter(order="Asc")).items]
    assert ["in/a.mp3", "in/b.mp3", "in/c.mp3"] == keys


def test_batches_stay_within_their_tenant(store, clock):
    """Another tenant neither sees nor changes a batch; a tenant's list has the latest first."""
    submit(store)
    clock.advance(1)
    submit(store, batch_id="b" + "2" * 32)
    assert store.batches.get(OTHER, ID) is None
    assert [] == store.batches.search(OTHER).items
    found = store.batches.search(TENANT, size=1)
    assert (2, ["b" + "2" * 32]) == (found.total, [batch.id for batch in found.items])
    for change in (store.batches.pause, store.batches.resume, store.batches.cancel):
        with pytest.raises(NoSuchBatch):
            change(OTHER, ID)


def test_another_tenants_batch_is_not_counted(store):
    """Another tenant gets of a batch what it gets of none: no job, and no cursor to go on."""
    submit(store, rows=50)
    feed(store)
    for which in (
        JobFilter(batch=ID, size=2),
        JobFilter(batch=ID, size=2, states=frozenset({State.RUNNING})),
    ):
        assert Page([], None) == store.jobs.search(OTHER, which)
        assert Counted(0, None) == store.jobs.count(OTHER, which)
        assert Counted(0, None) == store.jobs.cancel_where(OTHER, which)
    assert 50 == shown(store)[0] == store.jobs.count(TENANT, JobFilter(batch=ID, size=100)).jobs


def test_a_row_differs_where_it_says_so():
    """A row's job has the batch's parameters with the row's own source, user data and output names."""
    batch = Batch(ID, TENANT, "", spec(user_data="all"), BatchState.ACTIVE, 0)
    plain = row_spec(batch, Row("in/x.mp3"))
    assert ("in/x.mp3", "all", "no") == (plain.input_object, plain.user_data, plain.callback.url)
    own = row_spec(batch, Row("in/x.mp3", "mine", (("au_object", "out/x.wav"),)))
    assert ("mine", "out/x.wav", batch.spec.output.region) == (
        own.user_data,
        own.output.au_object,
        own.output.region,
    )


def test_a_batch_that_cannot_be_fed_lets_others_through(store, clock):
    """A batch that was looked at goes behind the others: one that is paused for months stops none of them."""
    other = ID[:-1] + ("0" if ID[-1] != "0" else "1")
    submit(store)
    clock.advance(1)
    submit(store, batch_id=other)
    store.batches.pause(TENANT, ID)
    assert [ID] == store.batches.with_pending_rows(1)
    clock.advance(1)
    assert 0 == feed(store)
    assert [other] == store.batches.with_pending_rows(1)
