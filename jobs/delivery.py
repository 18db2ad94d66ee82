"""A callback in the outbox and its delivery attempts."""

from __future__ import annotations

from dataclasses import dataclass

from stemline.jobs.callback import CallbackTarget
from stemline.jobs.tenant import Tenant


@dataclass(frozen=True, slots=True)
class DeliveryAttempt:
    """One try to deliver a callback."""

    at: int
    status: str
    """HTTP status, or a short word such as ``timeout`` or ``refused``."""
    duration_ms: int
    answer: str = ""
    """The first bytes of the answer, or the reason of the failure."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A callback on its way: one entry of the outbox."""

    id: str
    """Also the ``webhook-id``: the same over all attempts."""
    job_id: str
    tenant: Tenant
    target: CallbackTarget
    created: int
    due: int | None
    """When the next try is due; ``None`` once delivered or given up."""
    status: str = "pending"
    """``pending``, ``delivered`` or ``dead``."""
    attempts: tuple[DeliveryAttempt, ...] = ()
    replayed_after: int = 0
    """Attempts made before the last replay; they do not count for the schedule."""
