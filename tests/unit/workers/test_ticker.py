"""The thread that meets the times of jobs."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from stemline.jobs.errors import RecordTooNew, StoreUnavailable
from stemline.jobs.store import WakeUp
from stemline.testing import InMemoryStore
from stemline.testing.processes import eventually
from stemline.testing.samples import job_spec
from stemline.workers.ticker import Ticker


class Faulty:
    """A repository that is unavailable at first, then broken, then works."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def promote(self, _: int) -> None:
        self.calls.append("promote")
        if len(self.calls) == 1:
            raise StoreUnavailable
        if len(self.calls) == 2:
            raise KeyError

    def expire(self, _: int) -> int:
        self.calls.append("expire")
        return 0


def test_times_are_met_from_a_thread():
    """A job that may start later wakes a worker at its time, and a late one is cancelled at its own."""
    sent: list[WakeUp] = []
    store = InMemoryStore(notify=sent.extend)
    now = store.now()
    (later,) = store.jobs.create([replace(job_spec(), queue_id="", not_before=now + 300_000)])
    (late,) = store.jobs.create(
        [replace(job_spec(), queue_id="", not_before=now + 10**9, deadline=now + 300_000)]
    )
    ticker = Ticker(store, 0.01)
    ticker.start()
    eventually(lambda: store.jobs.find(late.id).code == "DeadlineExceeded")
    eventually(lambda: [later.id] == [wake_up.job_id for wake_up in sent])
    ticker.stop()
    assert store.now() >= now + 300_000


def test_faults_do_not_end_the_thread():
    """Whatever a look meets, the next one comes."""
    faulty = Faulty()
    faulty_store = SimpleNamespace(jobs=faulty, batches=InMemoryStore().batches)
    ticker = Ticker(faulty_store, 0.01)
    ticker.start()
    eventually(lambda: "expire" in faulty.calls)
    ticker.stop()
    ticker._thread.join(180)
    assert not ticker._thread.is_alive()


def test_a_record_of_a_newer_release_stops_no_other_step(monkeypatch: pytest.MonkeyPatch):
    """A job that may start now and cannot be read keeps no late job from being cancelled."""
    store = InMemoryStore()
    now = store.now()
    (late,) = store.jobs.create([replace(job_spec(), queue_id="", not_before=now + 10**9, deadline=now + 1)])

    def too_new(_: int) -> None:
        raise RecordTooNew

    monkeypatch.setattr(store.jobs, "promote", too_new)
    eventually(lambda: store.now() > now + 1)
    Ticker(store).tick()
    assert "DeadlineExceeded" == store.jobs.find(late.id).code
