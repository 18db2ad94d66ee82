"""What an attempt does about each fault: the job fails, or is put off, with a code and a reason."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stemline.jobs.errors import (
    SourceBucketUnknown,
    SourceEntryRefused,
    SourceNotFound,
    SourceUnavailable,
    SourceWorkerAtFault,
    TargetBucketUnknown,
    TargetEntryRefused,
    TargetUnavailable,
    TargetWorkerAtFault,
)
from stemline.separation.errors import (
    BrokenNetwork,
    DecoderCrashed,
    DecoderLost,
    DeviceError,
    DiskFull,
    DiskTooSmall,
    MemoryShort,
    UndecodableMedia,
    WeightsCorrupt,
    WeightsMissing,
)
from stemline.storage.download import Downloaded
from stemline.workers.failures import failure_code
from stemline.workers.metrics import POSTPONED_CODES
from stemline.workers.outcome import AttemptResult, Outcome
from tests.support.attempts import Fake
from tests.support.logs import captured_logs


@pytest.mark.parametrize(
    ("error", "code"), [(SourceNotFound(), "ResourceNotFound"), (UndecodableMedia(), "InvalidContent")]
)
def test_a_final_error_fails_the_job(make, error, code):
    """A missing or undecodable source fails the job with its code and message, the same in the result."""
    bench = make()
    part = bench.buckets if isinstance(error, SourceNotFound) else bench.engine
    part.errors["download" if part is bench.buckets else "separate_file"] = [error]
    assert AttemptResult(Outcome.FAILED, code, error.message) == bench.run()
    assert ((bench.job, code, error.message), {"leftovers": []}) == bench.store.arguments("fail")


def test_an_unavailable_source_postpones_the_job(make):
    """When the source's bucket is unavailable the job is released with a delay, uncounted."""
    bench = make(retry_delay_s=7)
    bench.buckets.errors["download"] = [SourceUnavailable("gone for now")]
    assert AttemptResult(Outcome.POSTPONED, "ResourceDownloadFailed", "gone for now") == bench.run()
    expected = {"delay_s": 7, "counts": False, "reason": "gone for now", "leftovers": []}
    assert ((bench.job,), expected) == bench.store.arguments("release")


def test_after_the_retry_window_attempts_count_and_end(make):
    """After the retry window a postponed attempt counts, and the last one fails the job."""
    bench = make(retry_window_hours=0, max_attempts=2)
    bench.buckets.errors["download"] = [SourceUnavailable("gone")]
    assert Outcome.POSTPONED == bench.run().outcome
    assert bench.store.arguments("release")[1]["counts"]
    last = make(retry_window_hours=0, max_attempts=1)
    last.buckets.errors["download"] = [SourceUnavailable("gone")]
    assert AttemptResult(Outcome.FAILED, "InternalError", "gone") == last.run()


def test_a_lost_decoding_server_costs_an_attempt(make):
    """A decoder that died for no known reason is tried again, counted, and fails after the last attempt."""
    for attempt, outcome in ((1, Outcome.POSTPONED), (3, Outcome.FAILED)):
        bench = make()
        bench.job = replace(bench.job, attempt=attempt)
        bench.engine.errors["separate_file"] = [DecoderLost()]
        assert outcome == bench.run().outcome
    assert "DecoderCrashed" == bench.store.arguments("fail")[0][1]
    bench = make()
    bench.engine.errors["separate_file"] = [DecoderCrashed()]
    assert Outcome.FAILED == bench.run().outcome


def test_a_broken_network_fails_the_job(make):
    """A network that gives no numbers gives none to another attempt: the job fails with a code of its own."""
    bench = make()
    bench.engine.errors["separate_file"] = [BrokenNetwork("The network of own gives no numbers on cpu.")]
    failed = AttemptResult(Outcome.FAILED, "ModelFailed", "The network of own gives no numbers on cpu.")
    assert failed == bench.run()
    assert "complete" not in bench.buckets.names()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("secret"), "The worker met an internal error; see its log."),
        (
            OSError(errno.EMFILE, "Too many open files"),
            "The worker could not continue: Too many open files.",
        ),
    ],
)
def test_an_unexpected_error_puts_the_job_off(make, error, message):
    """An unexpected error puts the job off, without the error's own text; the last attempt fails the job.

    The job may be the cause of an error of an unknown kind, never of the machine's: only the former counts.
    """
    bench = make()
    bench.engine.errors["separate_file"] = [error]
    counts = not isinstance(error, OSError)
    assert AttemptResult(Outcome.POSTPONED, "InternalError", message, counts=counts) == bench.run()
    last = make(max_attempts=1, retry_window_hours=0)
    last.engine.errors["separate_file"] = [error]
    assert AttemptResult(Outcome.FAILED, "InternalError", message) == last.run()


@pytest.mark.parametrize(
    "error", [WeightsMissing(), WeightsCorrupt(), DeviceError(), DiskFull(), MemoryShort()]
)
def test_what_the_worker_lacks_puts_the_job_off_before_anything_is_fetched(make, error):
    """A job is put off, uncounted and with the reason in its record, by a worker that cannot do it."""
    bench, fake = make(), Fake()
    fake.errors["engine"] = [error]
    bench.context.engine = fake.engine
    assert AttemptResult(Outcome.POSTPONED, failure_code(error), error.message) == bench.run()
    assert [] == bench.buckets.names()
    assert error.message == bench.store.arguments("release")[1]["reason"]


@pytest.mark.parametrize(
    ("error", "code", "at_last"),
    [
        (SourceUnavailable(), "ResourceDownloadFailed", "InternalError"),
        (TargetUnavailable(), "WriteTargetObjectFailed", "InternalError"),
        (SourceWorkerAtFault(), "InternalError", "InternalError"),
        (TargetWorkerAtFault(), "InternalError", "InternalError"),
        (SourceBucketUnknown(), "ResourceAccessDenied", "ResourceAccessDenied"),
        (TargetBucketUnknown(), "WriteTargetBucketDenied", "WriteTargetBucketDenied"),
        (SourceEntryRefused(), "ResourceAccessDenied", "ResourceAccessDenied"),
        (TargetEntryRefused(), "WriteTargetBucketDenied", "WriteTargetBucketDenied"),
        (WeightsMissing(), "WeightsUnavailable", "WeightsUnavailable"),
        (DeviceError(), "DeviceUnavailable", "DeviceUnavailable"),
        (DiskFull(), "InternalError", "InternalError"),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, Exception) else each,
)
def test_what_is_not_the_jobs_fault_puts_it_off_with_a_code(make, error, code, at_last):
    """Faults of a bucket and of the worker have codes of their own, also in the log, and are not counted.

    A job that meets them until its retry window has passed and its attempts are used up ends with the reason.
    """
    bench = make()
    bench.buckets.errors["download"] = [error]
    with captured_logs() as lines:
        assert AttemptResult(Outcome.POSTPONED, code, error.message) == bench.run()
    assert ("warning", code) == next(
        (line["log_level"], line["code"]) for line in lines if line["event"] == "attempt.postponed"
    )
    assert error.message == bench.store.arguments("release")[1]["reason"]
    assert code in POSTPONED_CODES
    last = make(max_attempts=1, retry_window_hours=0)
    last.buckets.errors["download"] = [error]
    with captured_logs() as lines:
        assert AttemptResult(Outcome.FAILED, at_last, error.message) == last.run()
    assert ["warning"] == [line["log_level"] for line in lines if line["event"] == "attempt.failed"]


@pytest.mark.parametrize("stage", ["source", "stems", "stems of unknown length"])
def test_a_job_that_is_too_large_for_the_disk_ends(make, monkeypatch, stage):
    """Its attempts count, so that it does not keep workers busy for a day; it ends with the reason."""
    results = []
    for attempt in (1, 3):
        bench = make(scratch_bytes=1 << 20, max_attempts=3)
        bench.job = replace(bench.job, attempt=attempt)

        def download(*args: Any, progress: Any, **_: Any) -> Downloaded:
            progress(1, 2 << 20 if stage == "source" else 1)
            return Downloaded(1, '"e"')

        def separate(_engine: Any, source: Path, _outputs: Any, **options: Any) -> None:
            if stage == "stems":
                options["expect"](2 << 20)
            (source.parent / "voice.wav").write_bytes(bytes(2 << 20))
            options["cancelled"]()

        bench.buckets.results["download"] = download
        bench.engine.results["separate_file"] = separate
        results.append(bench.run())
    message = "The source and its stems take 2.1 MB; the worker's scratch folder holds 1.0 MB."
    if stage == "stems of unknown length":
        message = str(DiskTooSmall())
    assert AttemptResult(Outcome.POSTPONED, "InternalError", message, counts=True) == results[0]
    assert AttemptResult(Outcome.FAILED, "InternalError", message) == results[1]


def test_each_time_a_job_is_put_off_it_waits_longer(make):
    """The delay doubles with each attempt up to its maximum."""
    delays = []
    for claims in range(1, 7):
        bench = make(retry_delay_s=15, retry_delay_max_s=100)
        bench.job = replace(bench.job, claims=claims)
        bench.buckets.errors["download"] = [SourceUnavailable()]
        bench.run()
        delays.append(bench.store.arguments("release")[1]["delay_s"])
    assert [15, 30, 60, 100, 100, 100] == delays
