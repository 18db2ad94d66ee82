"""What a new child of the worker's pool does first."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from typing import Any

import structlog
from celery.signals import worker_process_init, worker_process_shutdown

from stemline.workers import context
from stemline.workers.scratch import clear_stale

log = structlog.get_logger(__name__)

_PR_SET_PDEATHSIG = 1


@worker_process_init.connect(weak=False)
def begin(**_: Any) -> None:
    """Tie the child's life to its worker's, clear up after dead ones, and load the models meanwhile."""
    die_with_parent()
    removed = clear_stale(context.settings().storage.scratch_dir)
    if removed:
        log.info("scratch.cleared", folders=removed)
    if context.settings().engine.preload_models:
        threading.Thread(target=_warm, name="warm", daemon=True).start()


@worker_process_shutdown.connect(weak=False)
def end(**_: Any) -> None:
    """Send the spans that are not sent yet: a child of the pool ends without Python's clearing up."""
    context.tracer().close()


def die_with_parent() -> None:
    """Let the kernel kill this process when its worker is killed: nobody would stop it any more."""
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we asked
        os._exit(1)


def _warm() -> None:
    # Slow to import, and absent where only callbacks are sent.
    from stemline.separation.errors import SeparationError  # noqa: PLC0415
    from stemline.workers.engines import engine  # noqa: PLC0415

    for model in context.settings().engine.preload_models:
        try:
            loaded = engine(model)
        except SeparationError as error:
            # A job that needs it will say so too; jobs that do not are served.
            log.warning("model.not_loaded", model=model, code=error.code, reason=error.message)
        else:
            log.info("model.loaded", model=model, device=loaded.device)
