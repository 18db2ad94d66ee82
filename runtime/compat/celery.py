"""Celery: how it imports modules, and its handlers of signals."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

from celery.loaders.app import AppLoader


class Loader(AppLoader):  # type: ignore[misc]  # Celery ships no types
    """Loads modules from where Python is installed, never from the current folder.

    ``import_from_cwd`` puts the current folder first in ``sys.path`` while it imports, so a ``storage.py``
    there would be loaded in place of an installed package. Every loader inherits it, and there is no setting.
    """

    def import_from_cwd(self, module: str, imp: Any = None, package: str | None = None) -> Any:
        """Import a module."""
        return (imp or importlib.import_module)(module, package=package)


def write_shutdown_lines(write: Callable[[str], None]) -> None:
    """Have what a worker reports from its signal handlers written by a function of ours.

    Celery writes it with ``celery.apps.worker.safe_say``, straight to the file descriptor because a handler
    may take no lock (celery/celery#9222). So it would appear as plain text between JSON log lines.

    Args:
        write: Writes one line without taking a lock.
    """
    from celery.apps import worker  # noqa: PLC0415 - only worker processes load it

    vars(worker)["safe_say"] = lambda text, *_: write(text)


def end_well_after_sigint() -> None:
    """Have a worker that SIGINT has stopped end with status 0, as after SIGTERM; Celery's own is 1."""
    from celery.apps import worker  # noqa: PLC0415 - only worker processes load it

    stop = partial(worker._shutdown_handler, sig="SIGINT", callback=worker.on_SIGINT)  # noqa: SLF001
    vars(worker)["install_worker_int_handler"] = stop
