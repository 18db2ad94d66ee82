"""Changes that clients see: of the state, stage and progress of a job, and of the state of a queue."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

EVENTS_KEPT: Final = 10_000
"""Events of one tenant that are kept, about."""
EVENTS_MS: Final = 3_600_000
"""How long events are kept, ms, counted from the tenant's last one."""
_ID: Final = re.compile(r"([0-9]{1,15})-([0-9]{1,19})")


@dataclass(frozen=True, slots=True)
class Event:
    """One change. The events of a tenant are ordered by their ids."""

    id: str
    """Milliseconds since the epoch, ``-``, and a number."""
    kind: str
    """``job`` or ``queue``."""
    subject: str
    """Id of the job or the queue."""
    state: str
    """As clients see it."""
    progress: int = 0
    """Of a job, 0 to 100."""
    stage: str = ""
    """Of a running job."""
    code: str = ""
    """Of a job."""

    @property
    def at(self) -> int:
        """When it happened, µs since the epoch."""
        return place(self.id)[0] * 1000


@lru_cache(maxsize=4096)  # each listener compares the same events
def place(event_id: str) -> tuple[int, int]:
    """Return a sort key of an event id.

    Raises:
        ValueError: The text is not the id of an event.
    """
    match = _ID.fullmatch(event_id)
    if not match:
        raise ValueError(event_id)
    return int(match[1]), int(match[2])
