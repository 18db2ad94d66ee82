"""The engines of a worker process, each loaded once."""

from __future__ import annotations

import time
from threading import Lock

from stemline.models.loading import load_engine
from stemline.runtime.settings import Settings
from stemline.separation.engine import Engine
from stemline.workers.metrics import WorkerMetrics


class Engines:
    """One engine for each model; created after the pool has forked."""

    def __init__(self, settings: Settings, metrics: WorkerMetrics) -> None:
        self._options = settings.engine
        self._metrics = metrics
        self._lock = Lock()
        self._engines: dict[str, Engine] = {}

    def __call__(self, model: str) -> Engine:
        """Return the engine of a model, which the first call loads.

        Raises:
            SeparationError: The weights or the device are missing; the next call tries again.
        """
        with self._lock:
            if model not in self._engines:
                self._engines[model] = self._load(model)
            return self._engines[model]

    def _load(self, model: str) -> Engine:
        options = self._options
        started = time.monotonic()
        engine = load_engine(
            model,
            engine=options.name,
            device=options.device,
            directory=options.models_dir,
            threads=options.threads or None,
        )
        self._metrics.model_loaded_in(time.monotonic() - started, model, options.name, engine.device)
        return engine
