"""What beat logs: that it started, a line for each sweep that is not sent, and when sweeps are sent again."""

from __future__ import annotations

import celery.beat
import pytest

from stemline.runtime.settings import Settings
from stemline.workers.app import SWEEP, create_app
from stemline.workers.liveness import Scheduler
from tests.support.logs import captured_logs


@pytest.fixture
def app():
    app = create_app(Settings(redis_url="redis://127.0.0.1:1/0"))
    yield app
    app.close()


def test_an_outage_is_a_line_for_each_sweep_and_one_for_its_end(app, monkeypatch):
    """Neither a stack nor a traceback is logged, and nothing while sweeps are accepted."""
    answers = [
        None,
        celery.beat.SchedulingError("refused"),
        celery.beat.SchedulingError("x" * 9999),
        None,
        None,
    ]

    def apply_async(*_, **__):
        if (answer := answers.pop(0)) is not None:
            raise answer

    monkeypatch.setattr(celery.beat.Scheduler, "apply_async", apply_async)
    with captured_logs() as lines:
        scheduler = Scheduler(app=app)
        while answers:
            scheduler.apply_entry(scheduler.schedule["sweep"])
    started, *others = [(line.pop("event"), line.pop("log_level"), line) for line in lines]
    assert (
        "beat.started",
        "info",
        {"intervals_s": {"sweep": Settings().jobs.sweep_interval_s}},
    ) == started
    first, second, again = others
    assert ("beat.not_sent", "warning", {"task": SWEEP, "reason": "refused"}) == first
    assert ("beat.not_sent", "warning") == second[:2]
    assert len(second[2]["reason"]) < 1100
    assert ("beat.sent_again", "info", {"task": SWEEP, "missed": 2}) == again
