"""A callback and the attempts to deliver it."""

from __future__ import annotations

from dataclasses import dataclass

from stemline.jobs.callback import CallbackTarget
from stemline.jobs.tenant import Tenant


@dataclass(frozen=True, slots=True)
class DeliveryAttempt:
    """An attempt to deliver a callback."""

    at: int
    """When it began, µs since the epoch."""
    status: str
    """HTTP status, or a word such as ``timeout`` or ``refused``."""
    duration_ms: int
    answer: str = ""
    """The first bytes of the answer, or why there is none."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A callback, from the end of its job on."""

    id: str
    """Also the ``webhook-id``; the same for all attempts."""
    job_id: str
    tenant: Tenant
    target: CallbackTarget
    created: int
    """When the job ended, µs since the epoch."""
    due: int | None
    """When the next attempt is due, µs since the epoch; ``None`` once it is delivered or given up."""
    status: str = "pending"
    """``pending``, ``delivered`` or ``dead``."""
    attempts: tuple[DeliveryAttempt, ...] = ()
    replayed_after: int = 0
    """Attempts before the last replay; they do not count for the schedule."""
