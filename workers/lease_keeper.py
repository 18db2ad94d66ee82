"""The lease keeper: renews the lease of a claimed job, and knows why its attempt must stop."""

from __future__ import annotations

import math
import threading
import time
from enum import StrEnum
from types import TracebackType
from typing import Final, Self

import structlog

from stemline.jobs.errors import LeaseLost, StoreUnavailable
from stemline.jobs.job import Job
from stemline.wire.errors import code_of
from stemline.workers.context import SeparationContext
from stemline.workers.store_retry import LIMIT_S
from stemline.workers.time_limits import time_limit_s

log = structlog.get_logger(__name__)

MARGIN_S: Final = 3.0
"""Lease time that must be left before anything is published, s."""


class StopReason(StrEnum):
    """Why an attempt must stop before its work is done."""

    CANCELLED = "cancelled"
    LEASE_LOST = "lease lost"
    SHUTDOWN = "shutdown"
    TIME_LIMIT = "time limit"
    """Of every job."""
    TIMEOUT = "timeout"
    """Of this job."""


class LeaseKeeper:
    """Sends heartbeats for a claimed job from a thread, for the length of a ``with`` block.

    While the store is unavailable the attempt continues: if nobody has reclaimed the job, the next heartbeat
    renews the lease. Nothing is published unless the lease is known to be valid: see :meth:`expires_at` and
    :meth:`ensure_valid`.
    """

    def __init__(self, context: SeparationContext, job: Job) -> None:
        self.progress = 0
        """Percent, for the next heartbeat."""
        self.ends_at: float | None = None
        """When the attempt is expected to end, by ``time.monotonic``; for the next heartbeat."""
        self.device = ""
        """The engine's device, for the next heartbeat."""
        self.stop_reason: StopReason | None = None
        self._store = context.store
        self._job = job
        self._settings = context.settings
        self._shutdown = context.shutdown
        self._metrics = context.metrics
        self._started = time.monotonic()
        self._limit_s = time_limit_s(context.settings.workers, job.spec.wants)
        self._expires_at = time.time() + context.settings.jobs.lease_s
        self._stage = ""
        self._ended = threading.Event()
        self._due = threading.Event()
        """Set when the next heartbeat is not to wait: a stage has begun, or the attempt is over."""
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._due.set()
        self._thread.join()

    @property
    def stage(self) -> str:
        """What the attempt does, one of ``STAGES``; a new one is reported at once."""
        return self._stage

    @stage.setter
    def stage(self, stage: str) -> None:
        if stage != self._stage:
            self._stage = stage
            self._due.set()

    def expires_at(self) -> float:
        """Return until when the lease is known to be valid, seconds since the epoch; 0 if it is lost."""
        return 0.0 if self.stop_reason is StopReason.LEASE_LOST else self._expires_at

    def should_stop(self) -> bool:
        """Return whether the attempt must stop; :attr:`stop_reason` says why."""
        if self.stop_reason is None:
            if self._shutdown.grace_expired(self._settings.workers.grace_s):
                self.stop_reason = StopReason.SHUTDOWN
            elif time.monotonic() - self._started > self._limit_s:
                self.stop_reason = StopReason.TIME_LIMIT
            elif time.monotonic() - self._started > (self._job.spec.timeout_s or math.inf):
                self.stop_reason = StopReason.TIMEOUT
        return self.stop_reason is not None

    def ensure_valid(self) -> None:
        """Wait until the lease is known to be valid for some seconds, at most ``LIMIT_S``.

        Raises:
            LeaseLost: Another attempt holds the job, the worker must exit, or the store was unavailable for
                too long.
        """
        deadline = time.monotonic() + LIMIT_S
        while time.time() + MARGIN_S > self.expires_at():
            lost = self.stop_reason is StopReason.LEASE_LOST or time.monotonic() > deadline
            if lost or self._shutdown.grace_expired(self._settings.workers.grace_s + MARGIN_S):
                raise LeaseLost
            time.sleep(0.1)

    def _run(self) -> None:
        while not self._ended.is_set():
            self._due.wait(self._settings.jobs.heartbeat_s)
            self._due.clear()
            if not self._ended.is_set():
                self._send_heartbeat()

    def _send_heartbeat(self) -> None:
        sent_at = time.time()  # the store counts the lease from when it reads the heartbeat, which is later
        try:
            left_s = None if self.ends_at is None else max(0.0, self.ends_at - time.monotonic())
            cancel = self._store.attempts.heartbeat(
                self._job.id, self._job.token, self.progress, self.device, self.stage, remaining_s=left_s
            )
        except LeaseLost:
            self.stop_reason = StopReason.LEASE_LOST
            self._ended.set()
            self._metrics.heartbeats_missed.labels("lease_lost").inc()
            log.warning("lease.lost")
        except StoreUnavailable as error:
            self._metrics.heartbeats_missed.labels("store_unavailable").inc()
            log.warning("lease.not_renewed", error=code_of(error), reason=error.reason)
        except Exception:  # whatever it was, the next heartbeat may succeed; a dead thread loses the job
            self._metrics.heartbeats_missed.labels("error").inc()
            log.exception("lease.not_renewed")
        else:
            self._expires_at = sent_at + self._settings.jobs.lease_s
            if cancel and self.stop_reason is None:
                self.stop_reason = StopReason.CANCELLED
