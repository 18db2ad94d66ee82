"""What `stemline doctor capacity` says of jobs that could run, and of a store that stops answering."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from stemline.cli.checks.capacity import _workers, capacity
from stemline.cli.checks.findings import CheckContext, Finding, Verdict
from stemline.jobs.job import JobSpec, Output
from stemline.jobs.separation import AudioMode, VoiceSeparate
from stemline.jobs.store.server_errors import translate
from stemline.jobs.worker import Worker
from stemline.runtime.settings import Credential, Settings
from stemline.testing import FixedClock, InMemoryStore
from stemline.testing.api_server import TENANT


@pytest.mark.parametrize(
    "read",
    [("statistics", "read"), ("queues", "search"), ("batches", "search"), ("usage", "spent")],
    ids="-".join,
)
def test_a_read_without_an_answer_is_a_finding(
    read: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever read has no answer in time, one finding says so, and no fault of the program is reported."""
    store = InMemoryStore()
    output = Output(TENANT.region, TENANT.bucket)
    store.jobs.create([JobSpec(TENANT, "a", VoiceSeparate(AudioMode.IS_AUDIO), output)])

    def late(*_: Any, **__: Any) -> None:
        cause = redis.TimeoutError("Timeout reading from socket")
        raise translate(cause) from cause

    monkeypatch.setattr(getattr(store, read[0]), read[1], late)
    monkeypatch.setattr("stemline.runtime.store.open_store", lambda _: store)
    budget = Credential(secret_id="i", secret_key="k", daily_jobs=1)
    found = list(
        capacity(CheckContext(Settings(credentials=(budget,)), write=False, buckets=(), receiver=""))
    )
    message = "the store does not answer: it did not answer in time"
    assert [(Verdict.ERROR, message)] == [(each.verdict, each.message) for each in found]


def of(startable: Sequence[int], running: int) -> list[Finding]:
    """What it finds where so many jobs of each level could run, and so many do."""
    totals = SimpleNamespace(startable=startable, running=running)
    return list(_workers(SimpleNamespace(totals_of_queues=totals)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("startable", "running", "message", "fix"),
    [
        ((1, 0, 0), 0, "1 job could run, and none runs: no worker takes jobs", "hangs: restart it"),
        ((1, 2, 0), 0, "3 jobs could run, and none runs: no worker takes jobs", "hangs: restart it"),
        ((0, 0, 1), 4, "1 more job could run: all workers are busy with 4", "start more workers"),
    ],
)
def test_busy_workers_are_told_from_none(
    startable: tuple[int, ...], running: int, message: str, fix: str
) -> None:
    """Where nothing runs no worker is busy: there is none, or it hangs."""
    (found,) = of(startable, running)
    assert message == found.message
    assert fix in found.fix


def test_workers_that_fell_silent_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said for how long, and what to do; one that has a successor on its host is not named."""
    clock = FixedClock()
    store = InMemoryStore(clock=clock)
    report(store, "callbacks-1@replaced", kind="callbacks")
    for number in range(12):
        report(store, f"separation-{number}@old")
    report(store, "separation-1@replaced")
    clock.advance(95)
    report(store, "separation-2@replaced", started=clock())
    report(store, "separation-1@well")
    monkeypatch.setattr("stemline.runtime.store.open_store", lambda _: store)
    silent = [each for each in capacity(CheckContext(Settings(), write=False)) if "silent" in each.message]
    assert {Verdict.WARNING} == {each.verdict for each in silent}
    (replaced,) = [each.message for each in silent if "replaced" in each.message]
    assert replaced.startswith("worker callbacks-1@replaced (callbacks) fell silent 1 min 35 s ago: ")
    assert 11 == len(silent)
    assert "3 more workers fell silent" == silent[-1].message
    assert all("start it again" in each.fix for each in silent)


def report(store: InMemoryStore, name: str, *, kind: str = "separation", started: int = 5) -> None:
    store.workers.report(Worker(name, kind, 2, (2, 1, 0), "cpu", "1.0", started))


def test_nothing_is_said_where_nothing_could_run() -> None:
    """Workers that have taken all jobs are as many as are needed."""
    assert [] == of((0, 0, 0), 4)
