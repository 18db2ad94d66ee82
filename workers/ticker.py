"""Does what is due at a certain time: starts delayed jobs, cancels late ones, feeds batches."""

from __future__ import annotations

import threading
from typing import Final

import structlog

from stemline.jobs.errors import RecordTooNew, StoreUnavailable
from stemline.jobs.store import Store
from stemline.workers.feeder import Feeder

log = structlog.get_logger(__name__)

INTERVAL_S: Final = 0.5
"""Half a second, so that every time is met within a second."""
_AT_ONCE: Final = 500


class Ticker:
    """Looks twice a second, from a thread; several processes may do so at once."""

    def __init__(self, store: Store, interval_s: float = INTERVAL_S) -> None:
        self._jobs = store.jobs
        self._feeder = Feeder(store)
        self._interval_s = interval_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ticker", daemon=True)

    def start(self) -> None:
        """Start looking."""
        self._thread.start()

    def stop(self) -> None:
        """Stop looking soon."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(self._interval_s):
            try:
                self.tick()
            except StoreUnavailable as error:
                log.warning("tick.missed", reason=error.reason)
            except Exception:  # a dead thread would miss all times to come
                log.exception("tick.failed")

    def tick(self) -> None:
        """Make jobs claimable that may start now, cancel late ones, and feed batches."""
        for step in (self._promote, self._expire, self._feeder.feed):
            try:
                step()
            except RecordTooNew as error:  # stops no other step
                log.warning("tick.postponed", step=step.__name__, reason=error.message)

    def _promote(self) -> None:
        self._jobs.promote(_AT_ONCE)

    def _expire(self) -> None:
        while self._jobs.expire(_AT_ONCE) >= _AT_ONCE:
            pass
