"""Loads models before the first job asks for them, so that it starts at once."""

from __future__ import annotations

import threading
from typing import Any

import structlog
from celery.signals import worker_process_init

from workers import context

log = structlog.get_logger(__name__)


@worker_process_init.connect(weak=False)
def warm(**_: Any) -> None:
    """Load the models of the settings in each new child of the pool, after the fork and beside its start."""
    if context.settings().preload_models:
        threading.Thread(target=_load, name="warm", daemon=True).start()


def _load() -> None:
    # Slow to import, and absent where only callbacks are sent.
    from separation.errors import SeparationError  # noqa: PLC0415
    from workers.engines import engine  # noqa: PLC0415

    for model in context.settings().preload_models:
        try:
            loaded = engine(model)
        except SeparationError as error:
            # A job that needs it will say so too; jobs that do not are served.
            log.warning("model.not_loaded", model=model, code=error.code, reason=error.message)
        else:
            log.info("model.loaded", model=model, device=loaded.device)
