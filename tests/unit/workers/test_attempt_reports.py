"""What an attempt reports: log lines, spans, task events and metrics, by which operators follow a job."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from stemline.jobs.errors import EqualJobRuns, LeaseLost, SourceNotFound, TargetUnavailable
from stemline.jobs.serving import COMMON
from stemline.jobs.store import StoreOptions
from stemline.runtime.settings import Settings
from stemline.separation.errors import Cancelled, DeviceFailed, DiskFull, TruncatedMedia
from stemline.separation.pipeline import Report
from stemline.testing import FixedClock
from stemline.testing.in_memory_store import InMemoryStore
from stemline.testing.samples import job_spec
from stemline.workers import attempt, reuse, separate, stages
from stemline.workers.engines import WeightsPending
from stemline.workers.metrics import WorkerMetrics
from stemline.workers.outcome import AttemptResult, Outcome
from stemline.workers.shutdown import Shutdown
from tests.support.logs import captured_logs

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def lines_of(captured: list[Any], *prefixes: str) -> list[dict[str, Any]]:
    """The lines whose event begins with one of these, without the level they are written with."""
    return [line for line in captured if line["event"].startswith(prefixes)]


class Spans:
    """A tracer that notes its calls, and what is added to the spans."""

    def __init__(self) -> None:
        self.recorded: list[tuple[Any, ...]] = []
        self.opened: list[tuple[Any, ...]] = []
        self.attributes: dict[str, Any] = {}

    def record(self, *args: Any, **attributes: Any) -> None:
        self.recorded.append((*args, attributes))

    @contextmanager
    def span(self, *args: Any, **attributes: Any) -> Iterator[Any]:
        self.opened.append((*args, attributes))
        yield SimpleNamespace(set_attributes=self.attributes.update, is_recording=lambda: True)


class Events:
    """Notes the task events."""

    def __init__(self) -> None:
        self.ended: list[tuple[Any, ...]] = []

    def job_ended(self, *args: Any) -> None:
        self.ended.append(args)


class Worker:
    """A worker with one waiting job, whose attempts end as planned."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, result: AttemptResult) -> None:
        self.clock = FixedClock()
        self.store = InMemoryStore(StoreOptions(), clock=self.clock)
        spec = replace(job_spec(), queue_id="", trace=TRACE, level=1)
        (self.created,) = self.store.jobs.create([spec])
        self.spans, self.events = Spans(), Events()
        self.asked: list[str] = []
        self.metrics = WorkerMetrics()
        self.seen: dict[str, Any] = {}
        self.context: Any = SimpleNamespace(
            make_room=lambda: None,
            shutdown=Shutdown(),
            settings=Settings(),
            serves=lambda: COMMON,
            store=SimpleNamespace(
                attempts=self.store.attempts, outbox=SimpleNamespace(for_job=self._for_job)
            ),
            metrics=self.metrics,
            tracer=self.spans,
            events=self.events,
            notifier=None,
        )

        def run(this: attempt.Attempt) -> AttemptResult:
            self.seen = {
                "job": this.job,
                "context": this.context,
                "bound": structlog.contextvars.get_contextvars(),
                "running": self._running(),
            }
            return result

        monkeypatch.setattr(attempt.Attempt, "run", run)

    def _for_job(self, job_id: str) -> None:
        self.asked.append(job_id)

    def _running(self) -> float:
        return self.metrics.running._value.get()


RESULT = AttemptResult(Outcome.FAILED, "InvalidContent", "The source is no audio.")


def test_every_line_of_an_attempt_names_its_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """Job, attempt, token, worker and trace are bound while it runs; the first line has the levels."""
    worker = Worker(monkeypatch, RESULT)
    with captured_logs() as lines:
        assert RESULT == separate.separate(worker.context, "celery@host", wake_up_level=2)
    job = worker.seen["job"]
    assert {
        "job": worker.created.id,
        "attempt": 1,
        "token": job.token,
        "worker": job.worker,
        "trace": "0af7651916cd43dd8448eb211c80319c",
    } == worker.seen["bound"]
    assert job.worker.startswith("celery@host")
    assert {} == structlog.contextvars.get_contextvars()
    assert worker.context is worker.seen["context"]
    started = {"event": "attempt.started", "log_level": "info", "level": 1, "wake_up_level": 2}
    assert [started] == lines_of(lines, "attempt.started")


def test_an_attempt_is_a_span_beside_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are children of the submission; the attempt's has its outcome at the end."""
    worker = Worker(monkeypatch, RESULT)
    separate.separate(worker.context, "celery@host", wake_up_level=1)
    job = worker.seen["job"]
    assert [("wait", TRACE, job.created, job.started, {"job": job.id, "level": 1})] == worker.spans.recorded
    ((name, parent, attributes),) = worker.spans.opened
    assert ("attempt", TRACE) == (name, parent)
    assert "CONSUMER" == attributes.pop("kind").name
    assert {"job": job.id, "attempt": 1, "token": job.token, "worker": job.worker} == attributes
    expected = {"stemline.outcome": "failed", "stemline.code": "InvalidContent"}
    assert expected == worker.spans.attributes


def test_the_wait_is_recorded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later attempt at the same job adds a span for itself alone."""
    worker = Worker(monkeypatch, RESULT)
    separate.separate(worker.context, "w", wake_up_level=1)
    worker.store.attempts.release(worker.seen["job"])
    separate.separate(worker.context, "w", wake_up_level=1)
    assert (1, 2) == (len(worker.spans.recorded), len(worker.spans.opened))


def test_the_end_of_an_attempt_is_counted_and_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Metrics and Flower get the outcome and how long it took; its callback is looked for."""
    worker = Worker(monkeypatch, RESULT)
    before = time.monotonic()
    separate.separate(worker.context, "w", wake_up_level=1)
    ((job, result, seconds),) = worker.events.ended
    assert (worker.seen["job"], RESULT) == (job, result)
    assert 0 <= seconds <= time.monotonic() - before
    assert (1, 0) == (worker.seen["running"], worker._running())
    assert 1 == worker.metrics.attempts.labels("failed", "InvalidContent")._value.get()
    assert [worker.created.id] == worker.asked


@pytest.mark.parametrize(
    ("method", "error", "outcome", "expected"),
    [
        (
            "download",
            SourceNotFound("It is gone."),
            Outcome.FAILED,
            [("warning", "attempt.failed", {"code": "ResourceNotFound", "reason": "It is gone."})],
        ),
        (
            "separate_file",
            TruncatedMedia("It ends early."),
            Outcome.FAILED,
            [("warning", "attempt.failed", {"code": "InvalidContent", "reason": "It ends early."})],
        ),
        (
            "send",
            TargetUnavailable("It is down."),
            Outcome.POSTPONED,
            [("warning", "attempt.postponed", {"code": "WriteTargetObjectFailed", "reason": "It is down."})],
        ),
        (
            "separate_file",
            WeightsPending("They come."),
            Outcome.POSTPONED,
            [
                ("info", "attempt.waits_for_weights", {"reason": "They come."}),
                ("warning", "attempt.postponed", {"code": "WeightsUnavailable", "reason": "They come."}),
            ],
        ),
        (
            "separate_file",
            DiskFull(),
            Outcome.POSTPONED,
            [
                ("error", "attempt.worker_at_fault", {"reason": "There is no space left to write a stem."}),
                (
                    "warning",
                    "attempt.postponed",
                    {"code": "InternalError", "reason": "There is no space left to write a stem."},
                ),
            ],
        ),
        (
            "separate_file",
            DeviceFailed("cuda failed."),
            Outcome.POSTPONED,
            [("warning", "attempt.postponed", {"code": "DeviceUnavailable", "reason": "cuda failed."})],
        ),
        ("complete", LeaseLost(), Outcome.SUPERSEDED, [("warning", "attempt.superseded", {})]),
    ],
)
def test_the_log_says_how_an_attempt_ended(
    make: Any, method: str, error: Exception, outcome: Outcome, expected: list[Any]
) -> None:
    """Each end has an event of its own, at a level of its own, with code and reason."""
    bench = make()
    failed: list[str] = []
    bench.context.device_failed = failed.append
    (bench.engine if method == "separate_file" else bench.buckets).errors[method] = [error]
    with captured_logs() as lines:
        assert outcome == bench.run().outcome
    found = [(line.pop("log_level"), line.pop("event"), line) for line in lines_of(lines, "attempt.") if line]
    assert expected == found
    assert (["cuda failed."] if isinstance(error, DeviceFailed) else []) == failed
    assert [((bench.job,), {})] == [(args, options) for _, args, options in bench.events.calls]


def test_the_log_has_what_an_unknown_error_was(make: Any) -> None:
    """The error itself is written; the job's message says only that the log has it."""
    bench, error = make(), RuntimeError("what the tenant must not see")
    bench.engine.errors["separate_file"] = [error]
    with captured_logs() as lines:
        result = bench.run()
    crashed = {"event": "attempt.crashed", "log_level": "error", "exc_info": error}
    assert [crashed] == lines_of(lines, "attempt.crashed")
    assert "The worker met an internal error; see its log." == result.message


def test_a_released_attempt_says_why(make: Any) -> None:
    """A shutdown is the reason of a release, in the log and for Flower."""
    bench = make(worker_grace_s=0)
    bench.shutdown.request()

    def stop(*_: Any, cancelled: Callable[[], bool], **__: Any) -> Report:
        assert cancelled()
        raise Cancelled

    bench.engine.results["separate_file"] = stop
    with captured_logs() as lines:
        result = bench.run()
    assert AttemptResult(Outcome.RELEASED, message="The worker is shutting down.") == result
    (line,) = lines_of(lines, "attempt.released")
    assert ("info", "The worker is shutting down.") == (line["log_level"], line["reason"])


def test_a_success_is_logged_with_the_time_of_each_stage(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Audio, time, stages, device and model are in the line; later estimates know the share of the upload."""
    bench = make()
    seconds = {"decode": 0.25, "infer": 0.5, "total": 0.9}

    def done(engine: Any, source: Any, outputs: Any, **_: Any) -> Report:
        made = bench._separate(engine, source, outputs)
        return Report(12.3456, 44_100, seconds, "cpu", made.stems)

    bench.engine.results["separate_file"] = done
    counted: list[tuple[Any, ...]] = []
    monkeypatch.setattr(bench.context.metrics, "separated", lambda *args: counted.append(args))
    with captured_logs() as lines:
        assert Outcome.SUCCESS == bench.run().outcome
    (line,) = lines_of(lines, "attempt.succeeded")
    assert ("info", 12.346, "cpu", "2stems") == tuple(
        line[name] for name in ("log_level", "audio_s", "device", "model")
    )
    assert {"download", "decode", "infer", "upload"} == set(line["stages"])
    assert (0.25, 0.5) == (line["stages"]["decode"], line["stages"]["infer"])
    assert 0 <= line["took_s"] < 60
    ((audio_s, took_s, times, model),) = counted
    assert (12.3456, "2stems") == (audio_s, model)
    assert line["took_s"] == round(took_s, 3)
    assert {**line["stages"]} == {name: round(each, 3) for name, each in times.items()}
    assert 0 <= bench.context.pace.upload_share < 60


def test_an_attempt_that_waits_for_an_equal_job_says_so(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its job is in the queue again already, so that nothing else is recorded."""
    bench = make()
    monkeypatch.setattr(reuse, "digest_of", lambda _: "digest")

    def runs(*_: Any) -> None:
        raise EqualJobRuns

    monkeypatch.setattr(reuse, "copied", runs)
    with captured_logs() as lines:
        result = bench.run()
    reason = "An equal job runs; this one waits for its end."
    assert AttemptResult(Outcome.RELEASED, message=reason) == result
    waits = {"event": "attempt.waits", "log_level": "info", "reason": reason}
    assert [waits] == lines_of(lines, "attempt.")
    assert [] == bench.store.names()


@pytest.mark.parametrize("drawn", [("waveforms",), None])
def test_copied_stems_are_recorded_with_their_waveforms(
    make: Any, monkeypatch: pytest.MonkeyPatch, drawn: Any
) -> None:
    """Stems of an equal job are published without an engine, and keep what was drawn of them."""
    bench = make()
    copy, published = SimpleNamespace(reused="j" + "2" * 32), []
    monkeypatch.setattr(reuse, "digest_of", lambda work: "digest" if work.job is bench.job else "")
    monkeypatch.setattr(
        reuse, "copied", lambda work, digest: copy if (work.job, digest) == (bench.job, "digest") else None
    )
    monkeypatch.setattr(stages, "publish", lambda work: published.append(work.job))
    bench.store.results["waveforms"] = lambda tenant, job_id: (
        drawn if (tenant, job_id) == (bench.job.spec.tenant, copy.reused) else "of another"
    )
    assert AttemptResult(Outcome.SUCCESS) == bench.run()
    assert [bench.job] == published
    assert [] == bench.engine.names()
    assert ((bench.job, copy, drawn or ()), {"digest": "digest"}) == bench.store.arguments("succeed")


@pytest.mark.parametrize(
    ("digests", "kept"),
    [(("digest", "digest"), "digest"), (("digest", "another"), ""), (("", ""), ""), (("", "digest"), "")],
)
def test_stems_of_a_source_that_was_replaced_are_not_reused(
    make: Any, monkeypatch: pytest.MonkeyPatch, digests: tuple[str, str], kept: str
) -> None:
    """The digest is recorded only if it is that of the source that was downloaded."""
    bench = make()
    for name, digest in zip(("digest_of", "digest_of_downloaded"), digests, strict=True):
        monkeypatch.setattr(
            reuse, name, lambda work, digest=digest: digest if work.job is bench.job else "none"
        )
    monkeypatch.setattr(reuse, "copied", lambda *_: None)
    assert Outcome.SUCCESS == bench.run().outcome
    (job, *_), options = bench.store.arguments("succeed")
    assert (bench.job, kept) == (job, options["digest"])
