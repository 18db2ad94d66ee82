"""Failures of a GPU, counted over restarts of its worker: a card that fails twice is not used for a while.

A bad card is no bad job. Each job that ran on it goes back without a counted attempt and the worker ends,
because CUDA cannot be used again by the process that it failed in; whatever supervises the worker starts it
again. A card that fails again soon would take jobs and give them back for ever, so its worker then waits.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from stemline.runtime.errors import StartRefused
from stemline.runtime.settings import Settings
from stemline.workers.metrics import WorkerMetrics

log = structlog.get_logger(__name__)

#: How long a failure is remembered, s.
WINDOW_S = 3600.0
#: Failures within the window after which the card is out of service.
MAX_FAILURES = 2


class DeviceUnusable(StartRefused):
    """The device that the settings ask for cannot be used."""


def card(settings: Settings) -> str:
    """Return what identifies the GPU of this worker; empty if the settings ask for none.

    Raises:
        DeviceUnusable: They ask for a GPU that cannot be used; with the reason.
    """
    if settings.engine.device != "cuda" or settings.engine.name != "onnxruntime":
        return ""
    from stemline.separation.errors import SeparationError  # noqa: PLC0415 - slow to import
    from stemline.separation.sessions import cuda_card  # noqa: PLC0415 - slow to import

    try:
        return cuda_card().uuid
    except SeparationError as error:
        raise DeviceUnusable(error.message) from error


class DeviceFaults:
    """The recent failures of one card, in a file of the worker's scratch folder.

    Args:
        folder: A folder that outlives the process.
        card: Identifies the card.
        clock: Returns Unix seconds.
    """

    def __init__(self, folder: Path, card: str, *, clock: Callable[[], float] = time.time) -> None:
        self._path = folder / f"stemline-device-faults-{re.sub(r'[^A-Za-z0-9-]', '-', card)}"
        self._clock = clock

    def add(self) -> None:
        """Record a failure that happened now; never raises."""
        try:
            with self._path.open("a") as file:
                file.write(f"{self._clock():.3f}\n")
        except OSError as error:
            log.warning("device.fault_not_recorded", path=str(self._path), reason=error.strerror)

    def out_of_service_s(self) -> float:
        """Return how much longer the card is out of service, s; 0 if it may be used."""
        now = self._clock()
        recent = [moment for moment in self._moments() if now - WINDOW_S < moment <= now]
        return recent[-MAX_FAILURES] + WINDOW_S - now if len(recent) >= MAX_FAILURES else 0.0

    def _moments(self) -> list[float]:
        try:
            return sorted(float(line) for line in self._path.read_text().splitlines() if line.strip())
        except (OSError, ValueError):
            return []


def wait_until_usable(
    faults: DeviceFaults,
    metrics: WorkerMetrics,
    *,
    touch: Callable[[], None],
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Return as soon as the card may be used; until then no job is claimed, and a metric says why.

    Args:
        faults: The failures of the card.
        metrics: Shows whether the card is out of service.
        touch: Called every second, to show that the process lives.
        sleep: Waits some seconds.
    """
    left = faults.out_of_service_s()
    metrics.device_out_of_service.set(1 if left else 0)
    if left:
        log.error("device.out_of_service", failures=MAX_FAILURES, seconds=round(left))
    while faults.out_of_service_s():
        touch()
        sleep(1.0)
    metrics.device_out_of_service.set(0)


def end_after_fault(faults: DeviceFaults, metrics: WorkerMetrics, worker_pid: int) -> Callable[[str], None]:
    """Return what an attempt calls when the device fails: record it, and end the worker."""

    def report(reason: str) -> None:
        log.error("device.failed", reason=reason)
        metrics.device_failures.inc()
        faults.add()
        os.kill(worker_pid, signal.SIGTERM)

    return report
