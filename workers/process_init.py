"""Initialisation of a process that runs attempts: a child of the worker's pool, or the worker itself."""

from __future__ import annotations

import importlib
import os
import signal
import threading
from collections.abc import Callable

import structlog

from stemline.jobs.text import shorten
from stemline.runtime.garbage import collect_as_usual
from stemline.runtime.parent import end_with_parent
from stemline.workers.context import SeparationContext
from stemline.workers.scratch import clear_stale

log = structlog.get_logger(__name__)


def start(context: Callable[[], SeparationContext], *, worker_pid: int) -> None:
    """Tie the child to its worker, so that it is not orphaned, and prepare it."""
    end_with_parent(worker_pid)
    prepare(context, worker_pid=worker_pid)


def prepare(make_context: Callable[[], SeparationContext], *, worker_pid: int) -> None:
    """Remove folders of killed attempts, start the decoder, and load models in the background.

    A worker that cannot import what every job needs is ended: it would take one wake-up after the other.

    Args:
        make_context: Returns what the process works with.
        worker_pid: The worker, which is this process or its parent.
    """
    try:
        importlib.import_module("stemline.workers.attempt")
        collect_as_usual()
        context = make_context()
    except ImportError as error:
        log.critical("worker.cannot_import", reason=shorten(error))
        os.kill(worker_pid, signal.SIGTERM)
        return
    removed = clear_stale(context.settings.storage.scratch_dir)
    if removed:
        log.info("scratch.cleared", folders=removed)
    context.decoder.start()
    if context.settings.engine.preload_models:
        threading.Thread(target=preload, args=(context,), name="preload", daemon=True).start()


def preload(context: SeparationContext) -> None:
    """Load the models of the settings; log those that cannot be loaded."""
    from stemline.separation.errors import SeparationError  # noqa: PLC0415 - slow to import

    for model in context.settings.engine.preload_models:
        try:
            loaded = context.engine(model)
        except SeparationError as error:
            # A job that needs it fails with the same code; other jobs succeed.
            log.warning("model.not_loaded", model=model, error=type(error).__name__, reason=error.message)
        except Exception as error:
            # Jobs of the other models can be done; those of this one are put off for the same reason.
            log.exception("model.not_loaded", model=model, error=type(error).__name__)
        else:
            log.info("model.loaded", model=model, device=loaded.device)
