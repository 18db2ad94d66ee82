"""What the tasks of a worker process work with; the composition root builds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stemline.jobs.store import Store
from stemline.runtime.settings import Settings
from stemline.runtime.telemetry import Tracer
from stemline.storage import Buckets
from stemline.workers.metrics import WorkerMetrics
from stemline.workers.notifier import CeleryNotifier
from stemline.workers.shutdown import Shutdown

if TYPE_CHECKING:
    from stemline.separation.engine import Engine


@dataclass(frozen=True, slots=True)
class SeparationContext:
    """What an attempt at a job works with."""

    settings: Settings
    store: Store
    buckets: Buckets
    notifier: CeleryNotifier
    tracer: Tracer
    metrics: WorkerMetrics
    shutdown: Shutdown
    engine: Callable[[str], Engine]
    """The warm engine of a model, by its name."""
