"""Limits and times that a store applies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from stemline.jobs.queue import QueueLimits
from stemline.jobs.store.durability import Confirmation, Durability


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOptions:
    """Limits and times that a store applies; the defaults are those of the service's settings."""

    key_prefix: str = "stemline"
    """First part of every key on the server."""
    auto_open: bool = True
    """Whether the service opens for a bucket at its first use."""
    buckets_per_region: int = 1000
    """Buckets that may be opened in a region."""
    durability: Durability = Durability.PROCESS
    """What a change survives once it was answered."""
    required_replicas: Callable[[], int] = field(default=lambda: 1, compare=False)
    """Returns how many replicas must have a change, with durability `replica`."""
    queue_max_size: int = 10_000
    """Waiting jobs that a new queue may hold."""
    queue_max_concurrent: int = 10
    """Jobs of a new queue that may run at the same time."""
    templates_per_bucket: int = 200
    """Templates that a bucket may hold."""
    batches_per_bucket: int = 20
    """Batches of a bucket that may have rows which are not jobs yet."""
    batch_rows_per_bucket: int = 200_000
    """Such rows of all batches of a bucket."""
    batch_bytes_per_bucket: int = 128 << 20
    """Bytes of such rows."""
    job_bytes_per_bucket: int = 4 << 30
    """Bytes that records of a bucket's jobs may take, beyond which the oldest ended ones go; 0 for any."""
    nonces_per_credential: int = 250_000
    """Nonces of a credential that are remembered until their signatures have expired."""
    cancel_running: bool = True
    """Whether a running job can be cancelled."""
    lease_s: float = 20.0
    """How long a claim is valid without a heartbeat, s."""
    level_ageing_s: float = 0.0
    """A waiting job ranks one level higher after each such interval, s; 0 turns this off."""
    model_limits: Mapping[str, int] = field(default_factory=dict)
    """Jobs that want a model, or a mode, which may run at the same time; others without a limit."""
    idempotency_hours: float = 24.0
    """How long an idempotency key is remembered, hours."""
    retention_days: float = 90.0
    """How long ended jobs are kept, days."""
    dead_letter_days: float = 30.0
    """How long callbacks that failed for good are kept, days."""

    @property
    def lease_us(self) -> int:
        """How long a claim is valid without a heartbeat, µs."""
        return round(self.lease_s * 1e6)

    @property
    def level_ageing_us(self) -> int:
        """The interval of the ageing of levels, µs; 0 if there is none."""
        return round(self.level_ageing_s * 1e6)

    @property
    def queue_limits(self) -> QueueLimits:
        """Limits of a new queue."""
        return QueueLimits(self.queue_max_size, self.queue_max_concurrent)

    @property
    def confirmation(self) -> Confirmation:
        """What the server confirms before a change is answered."""
        return Confirmation(self.durability, self.required_replicas)
