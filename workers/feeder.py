"""Turns rows of batches into jobs, some at a time."""

from __future__ import annotations

from typing import Final

import structlog

from stemline.jobs.batch import Batch, row_job_id, row_spec
from stemline.jobs.errors import QueueFull, RequestRefused
from stemline.jobs.store import Store

log = structlog.get_logger(__name__)

MAX_WAITING: Final = 1000
"""Jobs of one batch that wait at a time: enough for any number of workers until the next look."""
_AT_ONCE: Final = 250
_BATCHES: Final = 20


class Feeder:
    """Feeds the batches of a store; several processes may do so at once."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def feed(self) -> None:
        """Make jobs of rows, so that no batch lacks waiting jobs."""
        for batch_id in self._store.batches.with_pending_rows(_BATCHES):
            batch = self._store.batches.find(batch_id)
            if batch is None:
                continue
            try:
                self._fill(batch)
            except (
                RequestRefused
            ) as error:  # such as a bucket that was closed: its rows wait until it is open
                log.warning("batch.not_fed", batch=batch_id, reason=error.message)

    def _fill(self, batch: Batch) -> None:
        """Make jobs of rows until enough wait, or the queue is full."""
        size = _AT_ONCE
        while size:
            try:
                if not self._feed(batch, size):
                    return
            except QueueFull:
                size //= 2  # fewer may still fit

    def _feed(self, batch: Batch, most: int) -> bool:
        """Make jobs of the next rows; return whether there were any."""
        batches = self._store.batches
        first, rows = batches.take(batch.id, most=most, max_waiting=MAX_WAITING)
        if rows:
            ids = [row_job_id(batch.id, first + number) for number in range(len(rows))]
            self._store.jobs.create_many([row_spec(batch, row) for row in rows], ids)
            batches.fed(batch.id, first, len(rows))
        return bool(rows)
