"""The hold of an attempt on its job: the lease, kept up by a thread, and why the attempt must end."""

from __future__ import annotations

import threading
import time
from enum import StrEnum
from types import TracebackType
from typing import Self

import structlog

from stemline.jobs.errors import LeaseLost, StemlineError
from stemline.jobs.job import Job
from stemline.wire.errors import code_of
from stemline.workers.context import SeparationContext

log = structlog.get_logger(__name__)

#: Lease that must be left before anything is published, s.
_MARGIN_S = 3.0


class Reason(StrEnum):
    """Why an attempt ends before its work is done."""

    CANCEL = "cancel"
    LOST = "lease lost"
    STOP = "worker stops"
    TIME = "time limit"


class Hold:
    """Keeps the lease of a claimed job while its ``with`` block runs.

    While the store is away the attempt goes on: if nobody seized the job, the next heartbeat renews
    the lease. Nothing is published without a lease that is known to hold: see :meth:`until`, :meth:`secure`.
    """

    def __init__(self, context: SeparationContext, job: Job) -> None:
        self.progress = 0
        self.device = ""
        self.reason: Reason | None = None
        self._store = context.store
        self._job = job
        self._settings = context.settings
        self._shutdown = context.shutdown
        self._metrics = context.metrics
        self._began = time.monotonic()
        self._until = time.time() + context.settings.jobs.lease_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def until(self) -> float:
        """When the lease surely still holds, seconds since the epoch."""
        return 0.0 if self.reason is Reason.LOST else self._until

    def interrupted(self) -> bool:
        """Whether the attempt must end; :attr:`reason` says why."""
        if self.reason is None:
            if self._shutdown.grace_expired(self._settings.workers.grace_s):
                self.reason = Reason.STOP
            elif time.monotonic() - self._began > self._settings.workers.job_time_limit_s:
                self.reason = Reason.TIME
        return self.reason is not None

    def secure(self) -> None:
        """Wait until the lease is known to hold for a moment.

        Raises:
            LeaseLost: another attempt holds the job.
        """
        while time.time() + _MARGIN_S > self.until():
            if self.reason is Reason.LOST or self._shutdown.grace_expired(
                self._settings.workers.grace_s + _MARGIN_S
            ):
                raise LeaseLost
            time.sleep(0.1)

    def _keep(self) -> None:
        while not self._over.wait(self._settings.jobs.heartbeat_s):
            self._beat()

    def _beat(self) -> None:
        before = time.time()  # the lease counts from when the store read the message, which is later
        try:
            cancel = self._store.jobs.heartbeat(self._job.id, self._job.token, self.progress, self.device)
        except LeaseLost:
            self.reason = Reason.LOST
            self._over.set()
            self._metrics.heartbeats_missed.labels("lease_lost").inc()
            log.warning("lease.lost")
        except StemlineError as error:
            self._metrics.heartbeats_missed.labels("store_away").inc()
            log.warning("lease.not_renewed", fault=code_of(error))
        else:
            self._until = before + self._settings.jobs.lease_s
            if cancel and self.reason is None:
                self.reason = Reason.CANCEL
