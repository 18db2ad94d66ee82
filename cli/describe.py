"""A job and its callbacks as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from stemline.cli.advice import NO_WORKER, advice
from stemline.cli.output import local_time, printable, span
from stemline.cli.program import spelled

if TYPE_CHECKING:
    from stemline.client import Callback, Execution, Job

_Fact = tuple[str, str]


def describe_job(job: Job, execution: Execution, callbacks: Sequence[Callback]) -> list[str]:
    """Return everything that is known about a job."""
    facts = [*_asked(job), *_times(job), *_work(job, execution), *_outcome(job), *_retries(job)]
    lines = [f"{job.id}  {job.state}" + (f"  {percent(job)} %" if percent(job) else "")]
    lines += [f"  {name:<11}{text}" for name, text in facts]
    for callback in callbacks:
        lines.append(f"  {'callback':<11}{callback.state} to {callback.to}")
        lines += [f"  {'':<11}{each}" for each in tries(callback)]
    return [*map(printable, lines), ""]


def describe_callback(callback: Callback) -> list[str]:
    """Return everything that is known about a callback."""
    due = [("next try", local_time(callback.next))] if callback.next else []
    facts = [
        ("job", callback.job_id),
        ("to", f"{callback.to} ({callback.format})"),
        ("created", local_time(callback.created)),
        *due,
        *(("try", each) for each in tries(callback)),
    ]
    lines = [f"{callback.id}  {callback.state}", *(f"  {name:<11}{text}" for name, text in facts)]
    return [*map(printable, lines), ""]


def tries(callback: Callback) -> list[str]:
    """Return a line for each attempt to deliver a callback."""
    return [
        f"{number}. {local_time(each.at)}  {each.status}  {each.duration_ms} ms  "
        + " ".join(each.answer[:200].split())
        for number, each in enumerate(callback.attempts, 1)
    ]


def percent(job: Job) -> str:
    """Return how far a job is; empty while it waits."""
    return "100" if job.succeeded else str(job.progress) if job.state == "Running" else ""


def put_off(job: Job) -> bool:
    """Return whether a job waits because its time has not come."""
    is_early = job.not_before is not None and job.not_before > datetime.now(UTC)
    return is_early and job.started is None and not job.has_ended


def took(job: Job) -> float | None:
    """Return how long a job ran, or runs so far, s."""
    if job.started is None:
        return None
    return ((job.ended or datetime.now(UTC)) - job.started).total_seconds()


def _asked(job: Job) -> Iterator[_Fact]:
    yield "source", job.source
    what = job.template_id or " ".join(filter(None, (job.mode, job.codec)))
    yield "asked for", what + (f", level {job.level}" if job.level else "")
    if job.model:
        yield "model", job.model
    if job.user_data:
        yield "user data", job.user_data
    if job.not_before:
        yield "not before", local_time(job.not_before) + ("  (it waits until then)" if put_off(job) else "")
    if job.deadline:
        waits = job.started is None and not job.has_ended
        yield "deadline", local_time(job.deadline) + ("  (cancelled if it still waits then)" if waits else "")
    if job.timeout_s is not None:
        yield "timeout", f"{span(job.timeout_s)} at most for a run"


def _times(job: Job) -> Iterator[_Fact]:
    yield "created", local_time(job.created)
    if job.started and job.created:
        waited = (job.started - job.created).total_seconds()
        yield "started", f"{local_time(job.started)}  (waited {span(waited, whole=True)})"
    if job.ended:
        yield "ended", f"{local_time(job.ended)}  (took {span(took(job), whole=True)})"


def _work(job: Job, execution: Execution) -> Iterator[_Fact]:
    if job.position is not None and not job.has_ended:
        yield "place", f"{job.position} in its queue"
    if job.wait_reason:
        yield "waits", job.wait_reason
        yield "what to do", spelled(NO_WORKER)
    if job.state == "Pause":
        yield (
            "paused",
            spelled("its queue or its batch is paused; `stemline resume` starts the queue again"),
        )
    if job.state == "Running":
        left = f", about {span(job.eta_s)} left" if job.eta_s is not None else ""
        yield "stage", (job.stage or "running") + left
    if execution.number:
        where = f" on {execution.worker}" if execution.worker else ""
        yield "attempt", f"{execution.number}{where}" + (f" ({execution.device})" if execution.device else "")


def _retries(job: Job) -> Iterator[_Fact]:
    if job.origin:
        yield "retry of", job.origin
    if job.retried_by:
        yield "retried by", job.retried_by


def _outcome(job: Job) -> Iterator[_Fact]:
    if job.state == "Failed":
        yield "failed", f"{job.code}: {job.message}"
        yield "what to do", spelled(advice(job.code, job.message))
    elif job.message and job.message != job.wait_reason:
        yield "message", job.message
    for stem in job.stems:
        yield "stem", f"{stem.name}: {stem.key}"
