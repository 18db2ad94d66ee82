"""What batches may hold, what they count and what they tell, on a real Valkey and in memory."""

from __future__ import annotations

import pytest

from stemline.jobs.batch import Row
from stemline.jobs.errors import BatchesFull, BudgetSpent, IllegalTransition, RequestRefused, UploadSuperseded
from stemline.jobs.states import State
from stemline.jobs.store import Store
from stemline.jobs.usage import Budget
from tests.integration.jobs.contract import OTHER, TENANT, Make, spec
from tests.integration.jobs.test_store_batches import end, feed, submit

IDS = [f"b{number}" * 16 + "0" for number in range(1, 6)]
ONE = [Row("in/a.mp3")]


def begin(store: Store, batch_id: str, upload: str = "u1", tenant=TENANT) -> None:
    assert store.batches.begin(batch_id, "night", spec(tenant=tenant), None, upload) is None


def fill(store: Store, batch_id: str, rows: list[Row], first: int = 0) -> None:
    store.batches.append(batch_id, "u1", first, rows)


def size_of(make: Make, row: Row) -> int:
    """Bytes of a row as the store counts them: the least limit under which it fits."""
    low, high = 1, 4096
    while low < high:
        middle = (low + high) // 2
        try:
            trial = make(batch_bytes_per_bucket=middle)
            trial.batches.begin(IDS[4], "", spec(tenant=OTHER), None, "u1")
            trial.batches.append(IDS[4], "u1", 0, [row])
        except RequestRefused:
            low = middle + 1
        else:
            high = middle
        trial.batches.drop(IDS[4], "u1")
    return low


def test_so_many_batches_may_hold_rows(make):
    """Those of other tenants do not count, nor does one that is begun anew, dropped, fed or cancelled."""
    store = make(batches_per_bucket=2)
    begin(store, IDS[0])
    begin(store, IDS[1])
    begin(store, IDS[1], "u2")
    begin(store, IDS[3], tenant=OTHER)
    with pytest.raises(BatchesFull):
        begin(store, IDS[2])
    store.batches.drop(IDS[1], "u2")
    begin(store, IDS[2])
    fill(store, IDS[0], ONE)
    store.batches.seal(IDS[0], "u1", "a" * 64)
    with pytest.raises(BatchesFull):
        begin(store, IDS[1])
    feed(store, batch_id=IDS[0])
    begin(store, IDS[1])
    fill(store, IDS[1], ONE)
    store.batches.seal(IDS[1], "u1", "a" * 64)
    store.batches.cancel(TENANT, IDS[1])
    begin(store, IDS[4])


def test_so_many_rows_may_wait_in_batches(make):
    """A batch with more alone is refused for good, one with more than others leave is refused for now."""
    store = make(batch_rows_per_bucket=5)
    begin(store, IDS[0])
    begin(store, IDS[1])
    with pytest.raises(RequestRefused):
        fill(store, IDS[0], ONE * 6)
    fill(store, IDS[0], ONE * 3)
    with pytest.raises(BatchesFull):
        fill(store, IDS[1], ONE * 3)
    fill(store, IDS[1], ONE * 2)
    with pytest.raises(BatchesFull):
        fill(store, IDS[1], ONE, 2)
    store.batches.seal(IDS[0], "u1", "a" * 64)
    assert 2 == feed(store, 2, batch_id=IDS[0])
    with pytest.raises(BatchesFull):
        fill(store, IDS[1], ONE * 3, 2)
    fill(store, IDS[1], ONE * 2, 2)
    assert 1 == feed(store, batch_id=IDS[0])
    fill(store, IDS[1], ONE, 4)


def test_so_many_bytes_may_wait_in_batches(make):
    """Rows are counted to the byte when they come, and counted no longer once they are jobs."""
    row, long = Row("in/a.mp3"), Row("in/" + "b" * 90 + ".mp3")
    own, more = size_of(make, row), size_of(make, long)
    store = make(batch_bytes_per_bucket=own + 2 * more)
    begin(store, IDS[0])
    begin(store, IDS[1])
    with pytest.raises(RequestRefused):
        fill(store, IDS[0], [row, row, long, long])
    fill(store, IDS[0], [row, long])
    with pytest.raises(RequestRefused):
        fill(store, IDS[0], [row, long], 2)
    with pytest.raises(BatchesFull):
        fill(store, IDS[1], [row, long])
    fill(store, IDS[1], [long])
    store.batches.seal(IDS[0], "u1", "a" * 64)
    assert 1 == feed(store, 1, batch_id=IDS[0])
    with pytest.raises(BatchesFull):
        fill(store, IDS[1], [row, row], 1)
    fill(store, IDS[1], [row], 1)
    assert 1 == feed(store, batch_id=IDS[0])
    with pytest.raises(RequestRefused):
        fill(store, IDS[1], [long, row], 2)
    fill(store, IDS[1], [long], 2)


def test_an_empty_part_of_an_upload_adds_nothing(make):
    """It is no repetition of the part before it, either."""
    store = make()
    begin(store, IDS[0])
    fill(store, IDS[0], ONE)
    fill(store, IDS[0], [], 1)
    with pytest.raises(UploadSuperseded):
        fill(store, IDS[0], [], 0)
    store.batches.seal(IDS[0], "u1", "a" * 64)
    assert 1 == store.batches.find(IDS[0]).rows


def test_a_batch_without_rows_has_none(make):
    """Before its first part as well."""
    store = make()
    begin(store, IDS[0])
    assert (0, 0) == (store.batches.find(IDS[0]).rows, store.batches.find(IDS[0]).fed)


def test_a_batch_counts_its_rows_as_jobs_of_the_day(make):
    """All of them when it is accepted; a cancel gives back those that did not become jobs, and no others."""
    store = make()
    budget = Budget(jobs=5)

    def accept(batch_id: str, rows: int) -> None:
        begin(store, batch_id)
        fill(store, batch_id, ONE * rows)
        store.batches.seal(batch_id, "u1", "a" * 64, credential="AKID", budget=budget)

    accept(IDS[0], 4)
    with pytest.raises(BudgetSpent):
        accept(IDS[1], 2)
    assert 1 == feed(store, 1, batch_id=IDS[0])
    store.batches.cancel(TENANT, IDS[0])
    with pytest.raises(BudgetSpent):
        accept(IDS[2], 5)
    accept(IDS[3], 4)
    assert 4 == feed(store, batch_id=IDS[3])
    store.batches.cancel(TENANT, IDS[3])
    with pytest.raises(BudgetSpent):
        accept(IDS[4], 1)


def test_every_change_of_a_batch_is_reported(make):
    """Its acceptance, pause, resumption, cancel and end, each once and with its new state."""
    store = make()
    start, _ = store.events.begin(TENANT)
    submit(store, 2, IDS[0])
    for change in (store.batches.pause, store.batches.pause, store.batches.resume, store.batches.cancel):
        change(TENANT, IDS[0])
    events = store.events.read(TENANT, start)
    assert events is not None
    reported = [("Active", 0), ("Paused", 0), ("Active", 0), ("Cancel", 0), ("Cancel", 100)]
    assert [("batch", IDS[0], *each) for each in reported] == [
        (event.kind, event.subject, event.state, event.progress) for event in events
    ]


def test_a_batch_that_is_being_received_cannot_be_changed(make):
    """Nor one that is over."""
    store = make()
    begin(store, IDS[0])
    for change in (store.batches.pause, store.batches.resume, store.batches.cancel):
        with pytest.raises(IllegalTransition, match="Loading"):
            change(TENANT, IDS[0])
    fill(store, IDS[0], ONE)
    store.batches.seal(IDS[0], "u1", "a" * 64)
    feed(store, batch_id=IDS[0])
    end(store, State.SUCCESS)
    for change in (store.batches.pause, store.batches.resume, store.batches.cancel):
        with pytest.raises(IllegalTransition, match="Done"):
            change(TENANT, IDS[0])


@pytest.mark.parametrize("level", [0, 1, 2])
def test_jobs_of_a_resumed_batch_wake_workers(make, wake_ups, level):
    """One wake-up for each that may start, at its level."""
    store = make()
    store.batches.begin(IDS[0], "", spec(level=level), None, "u1")
    fill(store, IDS[0], ONE * 2)
    store.batches.seal(IDS[0], "u1", "a" * 64)
    feed(store, batch_id=IDS[0])
    store.batches.pause(TENANT, IDS[0])
    wake_ups.clear()
    store.batches.resume(TENANT, IDS[0])
    assert [level, level] == [each.level for each in wake_ups]
