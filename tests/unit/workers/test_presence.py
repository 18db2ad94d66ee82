"""A worker reports that it lives."""

from __future__ import annotations

import threading

import pytest

from stemline.jobs.errors import StoreUnavailable
from stemline.jobs.worker import Worker, claimant, worker_of
from stemline.testing import InMemoryStore
from stemline.testing.processes import eventually
from stemline.workers import presence as presence_module
from stemline.workers.device_in_use import DeviceInUse
from stemline.workers.presence import Presence
from tests.support.forks import in_a_fork

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


def test_the_device_is_that_of_the_networks_which_a_child_loads() -> None:
    """A report names no device that was only asked for, but the one of the first network."""
    store, device = InMemoryStore(), DeviceInUse("auto")
    presence = Presence(store, WORKER, interval_s=0.01, device_in_use=device)
    presence.start()
    assert eventually(lambda: [each.device for each in store.workers.latest()] == [""], 180, "a report")
    in_a_fork(device.set, "cpu")
    assert eventually(lambda: [each.device for each in store.workers.latest()] == ["cpu"], 180, "the device")
    presence.stop()
    assert ("cuda", "") == (DeviceInUse("cuda").get(), DeviceInUse("auto").get())


def test_who_follows_is_told_what_the_worker_serves() -> None:
    """Before a report, so that the worker takes the wake-ups of the models that it announces."""
    store, models, announced = InMemoryStore(), ("2stems", "htdemucs"), list[tuple[str, ...]]()
    presence = Presence(store, WORKER, interval_s=60, serving=lambda: models, follow=announced.append)
    presence.start()
    eventually(store.workers.latest, 180, "a report")
    (reported,) = store.workers.latest()
    presence.stop()
    assert ([models], models) == (announced, reported.serves)


@pytest.mark.parametrize("name", ["separate@local", "separation-12@a/b", "a/1", "callbacks@host.example"])
def test_a_jobs_worker_is_the_one_that_reports(name: str) -> None:
    """What a job names as its worker leads to the name in the reports; a name without a thread is itself."""
    assert name == worker_of(claimant(name, threading.get_native_id()))
    assert "separate@local" == worker_of("separate@local")
    assert "" == worker_of("")
