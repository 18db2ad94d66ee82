"""Celery task events of jobs and deliveries, from which Flower shows them.

Celery's own events describe messages: a wake-up that found nothing to do would be shown as a success, and so
would a job that ended Failed. The tasks of this service therefore send none (``send_events=False``). Instead
the worker reports what it did, as one task for each job and each delivery, with the id of the job or delivery
as the task's UUID.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import structlog
from celery import Celery, current_task

from stemline.jobs.delivery import Delivery
from stemline.jobs.job import Job
from stemline.workers.app import DELIVER, SEPARATE
from stemline.workers.outcome import AttemptResult, Outcome

log = structlog.get_logger(__name__)

RETRY_POLICY: Final = {"max_retries": 1, "interval_start": 0}
"""One retry on a new connection; an event that cannot be sent then is lost."""


class TaskEvents:
    """Sends the events of the task that runs; never raises."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def job_started(self, job: Job) -> None:
        """Report that an attempt at a job has started."""
        self._send(_fields_of_job(job), "task-received", "task-started")

    def job_ended(self, job: Job, result: AttemptResult, seconds: float) -> None:
        """Report how an attempt ended.

        Args:
            job: The job, with the number of the attempt.
            result: The outcome.
            seconds: Duration of the attempt.
        """
        fields = _fields_of_job(job)
        match result.outcome:
            case Outcome.SUPERSEDED:
                pass  # the attempt that holds the job reports it
            case Outcome.SUCCESS:
                self._send(
                    fields | _success(", ".join(track.name.lower() for track in job.spec.tracks()), seconds),
                    "task-succeeded",
                )
            case Outcome.FAILED:
                self._send(fields | _failure("JobFailed", result.code, result.message), "task-failed")
            case Outcome.CANCELLED:
                self._send(fields | {"terminated": True, "signum": None, "expired": False}, "task-revoked")
            case Outcome.POSTPONED | Outcome.RELEASED:
                kind = result.outcome.capitalize()
                self._send(fields | _failure(kind, result.message), "task-retried")

    def delivery_started(self, delivery: Delivery) -> None:
        """Report that an attempt at a delivery has started."""
        self._send(_fields_of_delivery(delivery), "task-received", "task-started")

    def delivery_ended(self, delivery: Delivery, status: str, state: str, seconds: float) -> None:
        """Report how an attempt at a delivery ended.

        Args:
            delivery: The delivery before the attempt.
            status: HTTP status, or a word such as ``timeout``.
            state: The new state of the delivery: ``delivered``, ``pending`` or ``dead``.
            seconds: Duration of the attempt.
        """
        fields = _fields_of_delivery(delivery)
        match state:
            case "delivered":
                self._send(fields | _success(status, seconds), "task-succeeded")
            case "dead":
                self._send(fields | _failure("DeliveryFailed", status), "task-failed")
            case _:
                self._send(fields | _failure("Postponed", status), "task-retried")

    def _send(self, fields: Mapping[str, Any], *types: str) -> None:
        hostname = current_task.request.hostname if current_task else None
        try:
            with self._app.events.default_dispatcher(hostname=hostname) as dispatcher:
                for type_ in types:
                    dispatcher.send(type_, retry=True, retry_policy=RETRY_POLICY, **fields)
        except Exception as error:  # noqa: BLE001 - kombu raises many kinds, and monitoring must not stop a job
            log.warning("task_event.not_sent", types=types, error=type(error).__name__)


def _fields_of_job(job: Job) -> dict[str, Any]:
    args = f"{job.spec.input_object}, level {job.spec.level}"
    return _fields(job.id, SEPARATE, args, job.attempt - 1, root_id=job.id)


def _fields_of_delivery(delivery: Delivery) -> dict[str, Any]:
    args = f"to {delivery.target.host}"
    fields = _fields(delivery.id, DELIVER, args, delivery.counted, root_id=delivery.job_id)
    return fields | {"parent_id": delivery.job_id}


def _fields(uuid: str, name: str, args: str, retries: int, *, root_id: str) -> dict[str, Any]:
    return {"uuid": uuid, "name": name, "args": args, "kwargs": "", "retries": retries, "root_id": root_id}


def _success(result: str, seconds: float) -> dict[str, Any]:
    return {"result": result, "runtime": seconds, "exception": None}


def _failure(kind: str, *reasons: str) -> dict[str, Any]:
    return {"exception": ": ".join([kind, *filter(None, reasons)]), "traceback": None}
