"""What attempts could not remove from a bucket, on a real Valkey and in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from stemline.jobs.errors import LeaseLost
from stemline.jobs.job import Job
from stemline.jobs.states import State
from stemline.jobs.store import Store
from stemline.testing import FixedClock
from tests.integration.jobs.contract import TENANT, spec, states

LEFT = ({"key": "out/a", "upload_id": "u"}, {"key": "out/b", "upload_id": "v"})
ENDS: dict[str, Callable[..., None]] = {
    State.FAILED: lambda store, job, **left: store.attempts.fail(job, "InternalError", "no", **left),
    State.CANCEL: lambda store, job, **left: store.attempts.confirm_cancel(job, **left),
    State.SUBMITTED: lambda store, job, **left: store.attempts.release(job, **left),
}


def claimed(store: Store) -> Job:
    """A running job with uploads on its record."""
    store.jobs.create([spec()])
    job = store.attempts.claim("w", [0])
    assert job is not None
    store.attempts.register_uploads(job.id, job.token, LEFT)
    return job


@pytest.mark.parametrize("state", ENDS)
def test_what_is_left_is_recorded_with_the_end(state: str, store: Store, clock: FixedClock) -> None:
    """However an attempt ends, what it left is due a minute later, once, with its job and token."""
    job = claimed(store)
    ENDS[state](store, job, leftovers=LEFT)
    assert [state] == states(store, job.id)
    assert (None, 1) == (store.leftovers.reserve(), store.statistics.read().leftovers)
    clock.advance(60)
    found = store.leftovers.reserve()
    assert found is not None
    assert (job.id, job.token, LEFT, clock() - 60_000_000, 1) == (
        found.job_id,
        found.token,
        found.uploads,
        found.since,
        found.tries,
    )
    assert store.leftovers.reserve() is None
    for _ in range(2):
        store.leftovers.drop(found.id, removed=True)
    snapshot = store.statistics.read()
    assert (0, 1) == (snapshot.leftovers, snapshot.totals["leftovers:removed"])


@pytest.mark.parametrize("state", ENDS)
def test_nothing_is_left_of_a_clean_end(state: str, store: Store, clock: FixedClock) -> None:
    """An attempt that removed everything, or whose end is refused, leaves nothing on record."""
    job = claimed(store)
    ENDS[state](store, job)
    with pytest.raises(LeaseLost):
        store.attempts.release(job, leftovers=LEFT)
    clock.advance(60)
    assert store.leftovers.reserve() is None


def test_each_attempt_has_its_own(store: Store, clock: FixedClock) -> None:
    """Two attempts of a job leave two records; each waits twice as long every time that it is taken."""
    job = claimed(store)
    store.attempts.release(job, leftovers=LEFT[:1])
    clock.advance(1)
    again: Any = store.attempts.claim("w", [0])
    store.attempts.fail(again, "InternalError", "no", leftovers=LEFT[1:])
    clock.advance(60)
    taken = [store.leftovers.reserve() for _ in range(3)]
    assert [job.token, again.token, None] == [each and each.token for each in taken]
    for minutes in (2, 4, 8, 16, 32, 64, 128, 256, 512, 512, 512, 512):
        clock.advance(minutes * 60 - 1)
        assert store.leftovers.reserve() is None
        clock.advance(1)
        taken = [store.leftovers.reserve() for _ in range(3)]
        assert [True, True, False] == [each is not None for each in taken]
    assert 2 == store.statistics.read().leftovers
    assert [State.FAILED] == [job.state for job in store.jobs.get(TENANT, [job.id]) if job]
