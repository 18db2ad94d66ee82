"""A worker reports that it lives."""

from __future__ import annotations

import threading

import pytest

from stemline.jobs.errors import StoreUnavailable
from stemline.jobs.worker import Worker
from stemline.testing import InMemoryStore
from stemline.testing.processes import eventually
from stemline.workers import presence as presence_module
from stemline.workers.presence import Presence

WORKER = Worker("separate@a", "separation", 2, (2, 1, 0), "cpu", "1.0", 5)


def test_a_worker_is_known_from_its_start_to_its_end() -> None:
    """A report is there soon after the start, and gone after the end."""
    store = InMemoryStore()
    presence = Presence(store, WORKER, interval_s=60)
    presence.start()
    assert eventually(
        lambda: [each.name for each in store.workers.latest()] == ["separate@a"], 180, "a report"
    )
    presence.stop()
    assert eventually(lambda: not store.workers.latest(), 180, "the last report")


def test_the_end_does_not_wait_for_a_store_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that does not answer does not hold up a worker that ends."""
    monkeypatch.setattr(presence_module, "_STOP_S", 0.01)
    store, answers = InMemoryStore(), threading.Event()

    def leave(_name: str) -> None:
        answers.wait(60)

    monkeypatch.setattr(store.workers, "leave", leave)
    presence = Presence(store, WORKER, interval_s=60)
    presence.start()
    eventually(store.workers.latest, 180, "a report")
    presence.stop()
    assert not answers.is_set()
    answers.set()


def test_reports_go_on_after_a_store_was_away() -> None:
    """A store that does not answer costs one report, not the thread."""
    store = InMemoryStore()
    report, failures = store.workers.report, [StoreUnavailable("gone"), ValueError("odd")]

    def failing(worker: Worker) -> None:
        if failures:
            raise failures.pop()
        report(worker)

    store.workers.report = failing  # type: ignore[method-assign]
    presence = Presence(store, WORKER, interval_s=0.01)
    presence.start()
    eventually(store.workers.latest, 180, "a report after the failures")
    presence.stop()
    assert [] == failures
