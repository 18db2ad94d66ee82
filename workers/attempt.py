"""One attempt at a job: run the stages, then end the attempt as their outcome asks.

::

    load engine → open uploads → download → separate → send → publish → Success recorded      SUCCESS
         error or stop request → cleanup → end recorded           FAILED, CANCELLED, POSTPONED, RELEASED
                  what a bucket does not let go is recorded with the end, for the sweeper
         lease lost, at any point                                 SUPERSEDED
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog

from stemline.jobs.errors import CancelAsked, EqualJobRuns, JobFailed, JobTimeout, LeaseLost, StemlineError
from stemline.jobs.job import Job
from stemline.jobs.store.values import Uploads
from stemline.separation.errors import Cancelled as SeparationCancelled
from stemline.separation.errors import (
    DecoderLost,
    DeviceError,
    DeviceFailed,
    DiskFull,
    DiskTooSmall,
    MemoryShort,
    SeparationError,
    WeightsError,
)
from stemline.separation.pipeline import Report
from stemline.storage import TransferCancelled
from stemline.workers import reuse, stages
from stemline.workers.cleanup import cleanup
from stemline.workers.context import SeparationContext
from stemline.workers.engines import WeightsPending
from stemline.workers.failures import failure_code, final_code
from stemline.workers.lease_keeper import LeaseKeeper, StopReason
from stemline.workers.memory_wait import MemoryWait
from stemline.workers.outcome import AttemptResult, Outcome
from stemline.workers.scratch import scratch
from stemline.workers.scratch_space import ScratchSpace
from stemline.workers.stages import Work
from stemline.workers.store_retry import retry_until_stored
from stemline.workers.time_limits import time_limit_s

log = structlog.get_logger(__name__)

INTERNAL_ERROR = "InternalError"
_MAX_DOUBLINGS = 20
#: Characters of a message that are kept, since it may quote a tenant's store.
_MAX_MESSAGE = 1000


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt; ``run`` may be called once."""

    job: Job
    context: SeparationContext

    def run(self) -> AttemptResult:
        """Do the job, record how it ended, and return the outcome."""
        with LeaseKeeper(self.context, self.job) as lease:
            self.context.events.job_started(self.job)
            work = Work(self.job, self.context, lease)
            try:
                return self._run(work)
            except EqualJobRuns as error:
                log.info("attempt.waits", reason=error.message)
                return AttemptResult(Outcome.RELEASED, message=error.message)
            except LeaseLost:
                # Whoever reclaimed the job deletes what this attempt registered.
                log.warning("attempt.superseded")
                return AttemptResult(Outcome.SUPERSEDED)

    def _run(self, work: Work) -> AttemptResult:
        started = time.monotonic()
        try:
            report = self._run_stages(work)
        except EqualJobRuns:
            raise  # it is in its queue again
        except Exception as error:  # noqa: BLE001 - each kind is classified, and unknown ones are logged
            return self._end(work, self._result_of(error, work.lease))
        if report is not None:
            self._count(work, report, time.monotonic() - started)
        return AttemptResult(Outcome.SUCCESS)

    def _run_stages(self, work: Work) -> Report | None:
        """Do the job; return what the separation did, or None if the stems of an equal job were copied."""
        store = self.context.store
        digest = reuse.digest_of(work)
        if digest and (copy := reuse.copied(work, digest)):
            stages.publish(work)
            drawn = retry_until_stored(partial(store.jobs.waveforms, self.job.spec.tenant, copy.reused)) or ()
            retry_until_stored(lambda: store.attempts.succeed(self.job, copy, drawn, digest=digest))
            return None
        storage = self.context.settings.storage
        with scratch(storage.scratch_dir) as folder, self._memory(work, folder.parent) as memory:
            space = ScratchSpace(folder, storage.scratch_bytes)
            more = self.context.loading_bytes(work.model.name)
            self.context.make_room_for(more)
            memory.ensure(more)
            engine = stages.load_engine(work)
            if not work.uploads:
                stages.open_uploads(work)
            with space.faults():
                source = stages.download(work, folder, space)
                report = stages.separate(work, engine, source, folder, space, pause=memory.ensure)
            self.context.has_run(work.model.name)
            with work.timed("upload"):
                stages.send(work, report)
                stages.publish(work)
        result = stages.result_of(work, report)
        waveforms = stages.waveforms_of(work, report)
        # Equal jobs that come later ask for the source as it was before the download.
        kept = digest if digest and digest == reuse.digest_of_downloaded(work) else ""
        retry_until_stored(lambda: store.attempts.succeed(self.job, result, waveforms, digest=kept))
        return report

    def _memory(self, work: Work, folder: Path) -> MemoryWait:
        return MemoryWait(work.lease, self.context.settings.workers, folder, self.context.metrics)

    def _result_of(self, error: Exception, lease: LeaseKeeper) -> AttemptResult:
        """Return the outcome that an error of the stages means.

        Raises:
            LeaseLost: The job belongs to another attempt.
            StemlineError: An error that no stage should raise.
        """
        match error:
            case SeparationCancelled() | TransferCancelled():
                return self._result_of_stop(lease.stop_reason)
            case CancelAsked():
                return AttemptResult(Outcome.CANCELLED)
            case JobFailed(retryable=True):
                code, at_last = failure_code(error), final_code(error)
                return self._put_off(code, error.message, counts=error.counts, at_last=at_last)
            case WeightsError() | DeviceError() | DiskFull() | MemoryShort() | DecoderLost():
                # Another worker may do better.
                self._report_worker(error)
                # A source that kills the server that decodes it must not keep workers busy for ever, nor must
                # one whose stems no disk can hold.
                counts = isinstance(error, DecoderLost | DiskTooSmall)
                return self._put_off(failure_code(error), error.message, counts=counts)
            case JobFailed() | SeparationError():
                return AttemptResult(Outcome.FAILED, failure_code(error), error.message)
            case StemlineError():
                raise error
            case _:
                log.error("attempt.crashed", exc_info=error)
                is_machines = isinstance(error, OSError)
                message = "The worker met an internal error; see its log."
                if isinstance(error, OSError):
                    message = f"The worker could not continue: {error.strerror}."
                # The job itself may be the cause of any other error: then the attempt counts.
                return self._put_off(INTERNAL_ERROR, message, counts=not is_machines)

    def _report_worker(self, error: SeparationError) -> None:
        """Report what is wrong with this worker; a device that failed also ends it."""
        match error:
            case WeightsPending():
                log.info("attempt.waits_for_weights", reason=error.message)
            case DeviceFailed():
                self.context.device_failed(error.message)
            case _:
                log.error("attempt.worker_at_fault", reason=error.message)

    def _put_off(self, code: str, message: str, *, counts: bool = False, at_last: str = "") -> AttemptResult:
        """Return the result that tries the job again later, or fails it after its last attempt.

        Args:
            code: What the attempt is counted and logged with.
            message: The reason, for people.
            counts: Whether the attempt counts even before the retry window has passed.
            at_last: The code that the job fails with, if it is another one.
        """
        counts = counts or self._is_old()
        if counts and self.job.attempt >= self.context.settings.jobs.max_attempts:
            return AttemptResult(Outcome.FAILED, at_last or code, message)
        return AttemptResult(Outcome.POSTPONED, code, message, counts=counts)

    def _result_of_stop(self, reason: StopReason | None) -> AttemptResult:
        match reason:
            case StopReason.LEASE_LOST:
                raise LeaseLost
            case StopReason.SHUTDOWN:
                return AttemptResult(Outcome.RELEASED, message="The worker is shutting down.")
            case StopReason.TIME_LIMIT:
                limit_s = time_limit_s(self.context.settings.workers, self.job.spec.wants)
                message = f"The job took longer than {limit_s:.0f} s."
                return AttemptResult(Outcome.FAILED, INTERNAL_ERROR, message)
            case StopReason.TIMEOUT:
                error = JobTimeout()
                return AttemptResult(Outcome.FAILED, failure_code(error), error.message)
            case _:
                return AttemptResult(Outcome.CANCELLED)

    def _is_old(self) -> bool:
        """Return whether the job is older than the retry window: then every postponed attempt counts."""
        age_s = time.time() - self.job.created / 1e6
        return age_s > self.context.settings.workers.retry_window_hours * 3600

    def _end(self, work: Work, result: AttemptResult) -> AttemptResult:
        """Clean up and record an end other than success; a cancel that came first takes precedence.

        Raises:
            LeaseLost: The job belongs to another attempt.
        """
        if work.uploads:
            work.lease.ensure_valid()
            work.leftovers = cleanup(
                self.context.buckets,
                work.uploads,
                job_id=self.job.id,
                token=self.job.token,
                expires_at=work.lease.expires_at,
            )
            work.uploads.clear()
        try:
            retry_until_stored(self._record_of(result, [each.to_json() for each in work.leftovers]))
        except CancelAsked:
            return self._end(work, AttemptResult(Outcome.CANCELLED))
        write = log.warning if result.outcome in {Outcome.POSTPONED, Outcome.FAILED} else log.info
        write(f"attempt.{result.outcome}", code=result.code, reason=result.message)
        return result

    def _record_of(self, result: AttemptResult, leftovers: Uploads) -> Callable[[], None]:
        """Return the write to the job store that records an end, and what could not be removed."""
        attempts, settings = self.context.store.attempts, self.context.settings
        message = result.message[:_MAX_MESSAGE]
        match result.outcome:
            case Outcome.FAILED:
                return partial(attempts.fail, self.job, result.code, message, leftovers=leftovers)
            case Outcome.POSTPONED:
                # The wait doubles with each time that the job was put off.
                times = max(0, self.job.claims - 1)
                doubled = settings.workers.retry_delay_s * 2 ** min(times, _MAX_DOUBLINGS)
                delay_s = min(
                    doubled, max(settings.workers.retry_delay_s, settings.workers.retry_delay_max_s)
                )
                values = {"delay_s": delay_s, "counts": result.counts, "reason": message}
                return partial(attempts.release, self.job, **values, leftovers=leftovers)
            case Outcome.RELEASED:
                return partial(attempts.release, self.job, leftovers=leftovers)
            case _:
                return partial(attempts.confirm_cancel, self.job, leftovers=leftovers)

    def _count(self, work: Work, report: Report, seconds: float) -> None:
        """Count and log a success with the time of each stage."""
        times = {
            "download": work.seconds["download"],
            **{name: value for name, value in report.seconds.items() if name != "total"},
            "upload": work.seconds["upload"],
        }
        self.context.pace.upload_share = times["upload"] / max(work.seconds["separate"], 0.001)
        self.context.metrics.separated(report.duration_s, seconds, times, work.model.name)
        log.info(
            "attempt.succeeded",
            audio_s=round(report.duration_s, 3),
            took_s=round(seconds, 3),
            stages={name: round(value, 3) for name, value in times.items()},
            device=report.device,
            model=work.model.name,
        )
