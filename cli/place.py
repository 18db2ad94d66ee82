"""How many jobs are before a waiting one."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from stemline.client import Client, Job

_INTERVAL_S: Final = 5.0
_MOST: Final = 100
"""Jobs that are looked at; a place beyond is not shown."""


class Place:
    """Knows the place of a job where the service does not say it: by the waiting jobs that are older."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._asked = float("-inf")
        self._place: int | None = None

    def fill_in(self, job: Job) -> Job:
        """Return the job with its place among the waiting jobs of its bucket."""
        if job.state != "Submitted" or job.position is not None:
            return job
        if time.monotonic() - self._asked >= _INTERVAL_S:
            page = self._client.page(states=["Submitted"], oldest_first=True, size=_MOST)
            ids = [each.id for each in page.jobs if each.level >= job.level]
            self._place = ids.index(job.id) + 1 if job.id in ids else None
            self._asked = time.monotonic()
        return replace(job, position=self._place)
