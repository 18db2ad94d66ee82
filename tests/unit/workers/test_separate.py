"""The task of a wake-up: what its message may carry, and when it does nothing."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery

from stemline.jobs.serving import COMMON
from stemline.jobs.store import StoreOptions, WakeUp
from stemline.runtime.settings import Settings
from stemline.runtime.telemetry import Tracer
from stemline.testing import FixedClock
from stemline.testing.in_memory_store import InMemoryStore
from stemline.testing.samples import job_spec
from stemline.workers import attempt, separate
from stemline.workers.app import SEPARATE, create_app
from stemline.workers.metrics import WorkerMetrics
from stemline.workers.notifier import CeleryNotifier
from stemline.workers.outcome import AttemptResult, Outcome
from stemline.workers.shutdown import Shutdown


def context(shutdown: Shutdown, claims: list[str]) -> Any:
    """A worker's context whose store has no waiting job, and records claims."""
    attempts = SimpleNamespace(claim=lambda worker, levels, serves: claims.append(worker))
    store = SimpleNamespace(attempts=attempts)
    return SimpleNamespace(shutdown=shutdown, store=store, settings=Settings(), serves=lambda: COMMON)


def app_with_task(made: Any) -> Celery:
    app = create_app(Settings())
    separate.add_task(app, lambda: made)
    return app


@pytest.mark.parametrize("message", [(2,), ("j" + "0" * 32, 2)])
def test_messages_of_this_version_and_of_older_ones_are_accepted(message):
    """A message with the level alone, and an older one with a job id before it, both lead to one claim."""
    claims: list[str] = []
    app = app_with_task(context(Shutdown(), claims))
    app.tasks[SEPARATE].apply(args=message, throw=True)
    assert 1 == len(claims)


def test_a_message_carries_the_level_alone(monkeypatch):
    """What is sent for a wake-up is its level, to the queue of that level."""
    app = create_app(Settings())
    sent: list[tuple[Any, ...]] = []
    monkeypatch.setattr(app, "send_task", lambda name, args, queue, **_: sent.append((name, args, queue)))
    CeleryNotifier(app).notify_workers([WakeUp(2, "j1")])
    assert [("stemline.separate", [2], "separate.2")] == sent


def test_a_worker_that_shuts_down_claims_nothing():
    """After the request to shut down no further job is started."""
    shutdown, claims = Shutdown(), list[str]()
    shutdown.request()
    assert separate.separate(context(shutdown, claims), "w", wake_up_level=1) is None
    assert [] == claims


def test_a_worker_claims_only_jobs_of_its_levels_and_models():
    """The levels of the settings and what the worker serves are those of the claim."""
    asked: list[Any] = []
    made = context(Shutdown(), [])
    made.settings = Settings(worker_levels=(2, 1))
    made.serves = lambda: ("htdemucs",)
    made.store.attempts.claim = lambda worker, levels, serves: asked.append((levels, serves))
    assert separate.separate(made, "w", wake_up_level=1) is None
    assert [((2, 1), ("htdemucs",))] == asked


def test_a_wake_up_for_a_model_goes_to_the_queue_of_that_model(monkeypatch):
    """A message for a job that few workers can do goes where these alone listen, and can be sent at once."""
    app = create_app(Settings())
    sent: list[tuple[Any, ...]] = []
    monkeypatch.setattr(app, "send_task", lambda name, args, queue, **_: sent.append((args, queue)))
    CeleryNotifier(app).notify_workers([WakeUp(1, "j1", "htdemucs")])
    assert [([1], "separate.1.htdemucs")] == sent
    assert "separate.1.htdemucs" == app.amqp.queues["separate.1.htdemucs"].routing_key


@pytest.mark.parametrize(("status", "sent"), [("pending", ["d1"]), ("delivered", []), (None, [])])
def test_the_callback_of_a_job_is_asked_for_at_once(monkeypatch, status, sent):
    """After an attempt the delivery is sent for, unless the job has none or it is over."""
    store = InMemoryStore(StoreOptions(), clock=FixedClock())
    store.jobs.create([replace(job_spec(), queue_id="")])
    asked: list[str] = []
    ended: list[str] = []
    made = SimpleNamespace(
        shutdown=Shutdown(),
        settings=Settings(),
        serves=lambda: COMMON,
        store=SimpleNamespace(
            attempts=store.attempts,
            outbox=SimpleNamespace(for_job=lambda _: status and SimpleNamespace(id="d1", status=status)),
        ),
        metrics=WorkerMetrics(),
        tracer=Tracer(),
        events=SimpleNamespace(job_ended=lambda *_: None),
        notifier=SimpleNamespace(deliver=asked.append),
        make_room=lambda: ended.append("room"),
    )
    monkeypatch.setattr(attempt.Attempt, "run", lambda _: AttemptResult(Outcome.SUCCESS))
    done = separate.separate(made, "w", wake_up_level=1)  # type: ignore[arg-type]
    assert AttemptResult(Outcome.SUCCESS) == done
    assert sent == asked
    assert ["room"] == ended, "what an attempt leaves in memory is looked at after it"
