"""Lets attempts wait while memory is short: a worker that takes more than there is gets killed."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import structlog

from stemline.runtime.settings.groups.workers import WorkerSettings
from stemline.separation.errors import Cancelled, MemoryShort
from stemline.workers.available_memory import available_memory, total_memory
from stemline.workers.lease_keeper import LeaseKeeper
from stemline.workers.memory_reservations import MemoryReservations
from stemline.workers.metrics import WorkerMetrics

log = structlog.get_logger(__name__)

POLL_S: Final = 0.5
"""Between two looks at the memory while an attempt waits, s."""
STAGE: Final = "wait"


class MemoryWait:
    """Lets one attempt wait while memory is short, for the length of a ``with`` block.

    Between segments one attempt of the machine never waits, or all could wait for each other: the one that
    holds the turn. Each takes it if nobody has it, so that it passes on when its holder ends. Before it loads
    a network that one waits too, unless the machine never has so much. What an attempt is going to take is
    reserved for it until its first segment is done, since a network takes most of its memory there.

    Args:
        lease: Lease of the attempt: shows that it waits, and knows when it must stop.
        options: How much is kept free, and how long an attempt waits for it.
        folder: Folder that all attempts of the machine share.
        metrics: Metrics that count those who wait.
    """

    def __init__(
        self, lease: LeaseKeeper, options: WorkerSettings, folder: Path, metrics: WorkerMetrics
    ) -> None:
        self._lease = lease
        self._options = options
        self._turn = Turn(folder)
        self._reservations = MemoryReservations(folder)
        self._metrics = metrics

    def __enter__(self) -> Self:
        self._turn.take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._turn.close()
        self._reservations.release()

    def ensure(self, more: int = 0) -> None:
        """Return when there is memory, or the attempt need not wait for it.

        Args:
            more: What the attempt is going to take beside what is kept free until it calls this again, bytes.

        Raises:
            MemoryShort: There was none for as long as an attempt waits.
            Cancelled: The attempt must stop.
        """
        reserve = self._options.memory_reserve_bytes
        if not reserve:
            return
        self._reservations.release()  # what was reserved before has been taken
        if self._goes_on(more):
            return
        before, self._lease.stage = self._lease.stage, STAGE
        started = time.monotonic()
        log.warning(
            "attempt.waits_for_memory", needed_mb=_mb(reserve + more), free_mb=_mb(available_memory())
        )
        with self._metrics.waiting_for_memory.track_inprogress():
            self._wait(more, started + self._options.memory_wait_s)
        log.info("attempt.goes_on", waited_s=round(time.monotonic() - started, 1))
        if before:
            self._lease.stage = before

    def _goes_on(self, more: int) -> bool:
        """Return whether the attempt need not wait; then what it is going to take is reserved."""
        needed = self._options.memory_reserve_bytes + more
        if not more:
            return _is_free(needed) or self._turn.take()
        most = total_memory()
        is_too_small = most is not None and most < needed
        with self._reservations.exclusive():
            needed += self._reservations.of_others()
            goes_on = _is_free(needed) or (is_too_small and self._turn.take())
            if goes_on:
                self._reservations.reserve(more)
            return goes_on

    def _wait(self, more: int, deadline: float) -> None:
        while not self._goes_on(more):
            if self._lease.should_stop():
                raise Cancelled
            if time.monotonic() > deadline:
                needed, free = _mb(self._options.memory_reserve_bytes + more), _mb(available_memory())
                raise MemoryShort(f"The worker needs {needed} MB of free memory and has {free} MB.")
            time.sleep(POLL_S)


class Turn:
    """A lock that at most one attempt of the machine holds; the system releases that of a killed process."""

    def __init__(self, folder: Path) -> None:
        # Other users may write to the folder: one of theirs is of no use, see `_open`.
        self._path = folder / f"stemline-memory-{os.getuid()}"
        self._descriptor: int | None = None

    def take(self) -> bool:
        """Take it if nobody has it; return whether this attempt has it now.

        Where there are no locks every attempt has it: none waits.
        """
        if self._descriptor is not None:
            return True
        try:
            descriptor = self._open()
        except OSError:
            return True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except OSError:
            os.close(descriptor)
            return True
        self._descriptor = descriptor
        return True

    def close(self) -> None:
        """Let others have it."""
        if self._descriptor is not None:
            with suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> int:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        if os.fstat(descriptor).st_uid != os.getuid():
            os.close(descriptor)
            raise PermissionError
        return descriptor


def _is_free(needed: int) -> bool:
    """Return whether so much memory is free, bytes; also where the system does not tell."""
    free = available_memory()
    return free is None or free >= needed


def _mb(size: int | None) -> int:
    return round((size or 0) / 1e6)
