"""Regular reports of a worker, so that an idle one is known too."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import structlog

from stemline.jobs.errors import StoreUnavailable
from stemline.jobs.store import Store
from stemline.jobs.worker import REPORT_S, Worker
from stemline.workers.device_in_use import DeviceInUse

_STOP_S: Final = 2.0
"""How long the end of a worker waits for its last report, s."""

log = structlog.get_logger(__name__)


class Presence:
    """Reports a worker from a thread until it is stopped."""

    def __init__(
        self,
        store: Store,
        worker: Worker,
        *,
        interval_s: float = REPORT_S,
        device_in_use: DeviceInUse | None = None,
        serving: Callable[[], tuple[str, ...]] | None = None,
        follow: Callable[[tuple[str, ...]], None] | None = None,
    ) -> None:
        """Report a worker to a store.

        Args:
            store: Store that remembers it.
            worker: What it is.
            interval_s: Between two reports, s.
            device_in_use: Where its networks run.
            serving: Looks which models it serves.
            follow: Called with these before each report.
        """
        self._workers = store.workers
        self._worker = worker
        self._interval_s = interval_s
        self._device_in_use = device_in_use
        self._serving = serving
        self._follow = follow
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="presence", daemon=True)

    def start(self) -> None:
        """Report the worker now, and then at each interval."""
        self._thread.start()

    def stop(self) -> None:
        """Report that the worker ends, if the store takes that soon; else it is missed soon."""
        self._stopped.set()
        self._thread.join(_STOP_S)

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._tell(lambda: self._workers.report(self._now()))
            self._stopped.wait(self._interval_s)
        self._tell(lambda: self._workers.leave(self._worker.name))

    def _now(self) -> Worker:
        """Return the worker with the device that it has come to use, and what it serves."""
        worker = self._worker
        if self._device_in_use is not None:
            worker = replace(worker, device=self._device_in_use.get())
        if self._serving is not None:
            worker = replace(worker, serves=self._serving())
            if self._follow is not None:
                self._follow(worker.serves or ())
        return worker

    def _tell(self, report: Callable[[], None]) -> None:
        try:
            report()
        except StoreUnavailable as error:
            log.warning("presence.not_reported", reason=error.reason)
        except Exception:  # a dead thread would let the worker seem dead
            log.exception("presence.not_reported")
