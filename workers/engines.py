"""The engines of a worker process: loaded once, warm from then on."""

from __future__ import annotations

import time
from functools import cache
from threading import Lock

from stemline.models.loading import load_engine
from stemline.separation.engine import Engine
from stemline.workers import context, metrics

_loading = Lock()


def engine(model: str) -> Engine:
    """The warm engine of a model; loaded by the first job that needs it.

    Raises:
        SeparationError: the weights or the device are not there; the next call tries again.
    """
    with _loading:
        return _engine(model)


@cache
def _engine(model: str) -> Engine:
    now = context.settings().engine
    began = time.monotonic()
    loaded = load_engine(
        model, engine=now.name, device=now.device, directory=now.models_dir, threads=now.threads or None
    )
    metrics.MODEL_LOAD_SECONDS.labels(model).observe(time.monotonic() - began)
    metrics.MODEL_LOADED.labels(model, now.name, loaded.device).inc()
    return loaded
