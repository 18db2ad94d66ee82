"""The task of a wake-up: what its message may carry, and when it does nothing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery

from stemline.jobs.store import WakeUp
from stemline.runtime.settings import Settings
from stemline.workers import separate
from stemline.workers.app import SEPARATE, create_app
from stemline.workers.notifier import CeleryNotifier
from stemline.workers.shutdown import Shutdown


def context(shutdown: Shutdown, claims: list[str]) -> Any:
    """A worker's context whose store has no waiting job, and records claims."""
    jobs = SimpleNamespace(claim=lambda worker, levels: claims.append(worker))
    return SimpleNamespace(shutdown=shutdown, store=SimpleNamespace(jobs=jobs), settings=Settings())


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
