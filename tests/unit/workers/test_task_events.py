"""What Flower shows of jobs and deliveries: the events, read by Celery's own state machine."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from celery.events.state import State as MonitorState
from celery.events.state import Task
from kombu.exceptions import OperationalError

from stemline.jobs.callback import CallbackTarget
from stemline.jobs.delivery import Delivery
from stemline.testing.samples import JOB_ID, finished_job
from stemline.workers.outcome import AttemptResult, Outcome
from stemline.workers.task_events import TaskEvents
from tests.support.logs import captured_logs

JOB = replace(finished_job(), attempt=1)
DELIVERY = Delivery(
    id="d" + JOB_ID[1:],
    job_id=JOB_ID,
    tenant=JOB.spec.tenant,
    target=CallbackTarget("Url", "JSON", url="https://user:secret@hooks.example/path?token=1"),
    created=0,
    due=0,
)


class Monitor:
    """Celery's events, applied to the state that Flower keeps."""

    def __init__(self) -> None:
        self.state = MonitorState()
        self._clock = itertools.count(1)
        self.app: Any = SimpleNamespace(events=self)

    @contextmanager
    def default_dispatcher(self, hostname: str | None) -> Iterator[Monitor]:
        yield self

    def send(self, type_: str, *, retry: bool, retry_policy: object, **fields: Any) -> None:
        clock = next(self._clock)
        event = {
            "type": type_,
            "hostname": "w@h",
            "timestamp": clock,
            "local_received": clock,
            "clock": clock,
        }
        self.state.event(event | fields)

    def task(self, uuid: str) -> Task:
        return self.state.tasks[uuid]


@pytest.mark.parametrize(
    ("result", "state", "exception"),
    [
        (AttemptResult(Outcome.SUCCESS), "SUCCESS", None),
        (
            AttemptResult(Outcome.FAILED, "ResourceNotFound", "The input object does not exist."),
            "FAILURE",
            "JobFailed: ResourceNotFound: The input object does not exist.",
        ),
        (AttemptResult(Outcome.CANCELLED), "REVOKED", None),
        (AttemptResult(Outcome.POSTPONED, message="No bucket."), "RETRY", "Postponed: No bucket."),
        (AttemptResult(Outcome.RELEASED, message="Shutdown."), "RETRY", "Released: Shutdown."),
        (AttemptResult(Outcome.SUPERSEDED), "STARTED", None),
    ],
)
def test_a_jobs_state_is_its_outcome(result, state, exception):
    """The task of a job has the job's id, its source as argument, and the outcome's state and reason."""
    monitor = Monitor()
    events = TaskEvents(monitor.app)
    events.job_started(JOB)
    assert "STARTED" == monitor.task(JOB.id).state
    events.job_ended(JOB, result, 2.5)
    task = monitor.task(JOB.id)
    assert (state, exception) == (task.state, task.exception)
    assert ("stemline.separate", "in/talk.mp4, level 1") == (task.name, task.args)


def test_a_retried_job_ends_as_one_task():
    """A job that was postponed and then succeeds is one task: a success, with one retry and no exception."""
    monitor = Monitor()
    events = TaskEvents(monitor.app)
    events.job_started(JOB)
    events.job_ended(JOB, AttemptResult(Outcome.POSTPONED, message="No bucket."), 1)
    second = replace(JOB, attempt=2)
    events.job_started(second)
    assert "STARTED" == monitor.task(JOB.id).state
    events.job_ended(second, AttemptResult(Outcome.SUCCESS), 2.5)
    task = monitor.task(JOB.id)
    assert ("SUCCESS", 1, None, 2.5, "voice, background") == (
        task.state,
        task.retries,
        task.exception,
        task.runtime,
        task.result,
    )
    assert 1 == len(monitor.state.tasks)


@pytest.mark.parametrize(
    ("state", "status", "shown", "exception"),
    [
        ("delivered", "204", "SUCCESS", None),
        ("pending", "timeout", "RETRY", "Postponed: timeout"),
        ("dead", "410", "FAILURE", "DeliveryFailed: 410"),
    ],
)
def test_a_deliverys_state_is_its_own(state, status, shown, exception):
    """A delivered callback is a success, one that is due again a retry, and a dead letter a failure."""
    monitor = Monitor()
    events = TaskEvents(monitor.app)
    events.delivery_started(DELIVERY)
    events.delivery_ended(DELIVERY, status, state, 0.1)
    task = monitor.task(DELIVERY.id)
    assert (shown, exception, JOB_ID) == (task.state, task.exception, task.parent_id)
    assert ("stemline.deliver", "to hooks.example") == (task.name, task.args)


def test_a_broker_that_is_down_does_not_stop_a_job():
    """An event that cannot be sent is lost, and nothing else happens."""

    def fail(**_: object) -> None:
        raise OperationalError

    app: Any = SimpleNamespace(events=SimpleNamespace(default_dispatcher=fail))
    with captured_logs() as lines:
        TaskEvents(app).job_started(JOB)
    assert [("task_event.not_sent", "OperationalError")] == [(line["event"], line["error"]) for line in lines]
