"""Whether this worker was told to stop, known in every process of its pool."""

from __future__ import annotations

import multiprocessing
import time
from typing import Any

from celery.signals import worker_shutting_down

# Made at import, before the pool forks, and so shared with its children: monotonic seconds, 0 for "no".
_since = multiprocessing.Value("d", 0.0)


@worker_shutting_down.connect(weak=False)
def told(**_: Any) -> None:
    """Remember when the stop was asked."""
    if not _since.value:
        _since.value = time.monotonic()


def due(grace_s: float) -> bool:
    """Whether the time that a running job was given after the stop is over."""
    since = _since.value
    return bool(since) and time.monotonic() - since >= grace_s
