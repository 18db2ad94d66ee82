"""The dependencies of a separation worker; the composition root builds them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stemline.jobs.serving import COMMON
from stemline.jobs.store import Store
from stemline.runtime.settings import Settings
from stemline.runtime.telemetry import Tracer
from stemline.storage import Buckets
from stemline.workers.metrics import WorkerMetrics
from stemline.workers.notifier import CeleryNotifier
from stemline.workers.shutdown import Shutdown
from stemline.workers.task_events import TaskEvents

if TYPE_CHECKING:
    from stemline.separation.decoder import Decoder
    from stemline.separation.engine import LoadedEngine


@dataclass(slots=True)
class Pace:
    """What a process has measured of its attempts."""

    upload_share: float = 0.0
    """How long the latest upload took, as a share of its separation."""


@dataclass(frozen=True, slots=True)
class SeparationContext:
    """What the attempts of one process share."""

    settings: Settings
    store: Store
    buckets: Buckets
    notifier: CeleryNotifier
    tracer: Tracer
    metrics: WorkerMetrics
    events: TaskEvents
    shutdown: Shutdown
    engine: Callable[..., LoadedEngine]
    """Returns the engine of a model, loaded at the first call; see `Engines`."""
    decoder: Decoder
    """Decodes sources in child processes."""
    device_failed: Callable[[str], None]
    """Called with the reason when the device failed: ends the worker after its attempts."""
    loading_bytes: Callable[[str], int] = lambda _: 0
    """Returns what a job takes for its model, 0 if one has run it or nothing is known, bytes."""
    make_room_for: Callable[[int], None] = lambda _: None
    """Called with what a job is going to take for its model, bytes: lets go of other models if it has to."""
    has_run: Callable[[str], None] = lambda _: None
    """Called with the model of a job that was separated."""
    make_room: Callable[[], None] = lambda: None
    """Called after each attempt: lets go of what other processes may need."""
    serves: Callable[[], Collection[str]] = lambda: COMMON
    """Returns the models and modes that this worker can do."""
    pace: Pace = field(default_factory=Pace)
