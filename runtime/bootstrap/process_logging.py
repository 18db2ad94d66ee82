"""Logging of every process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stemline.runtime import logging
from stemline.runtime.settings import Settings

if TYPE_CHECKING:
    from stemline.runtime.credentials import CredentialFiles


def configure_logging(settings: Settings) -> CredentialFiles:
    """Configure the logging of this process, and return the credentials whose secrets it masks."""
    from stemline.runtime.credentials import CredentialFiles

    files = CredentialFiles.of(settings)
    logging.configure(settings, files)
    return files


def keep_celery_from_logging(settings: Settings) -> None:
    """Keep Celery from configuring the logging, and log what it prints."""
    from celery import signals

    from stemline.runtime.compat import celery

    signals.setup_logging.connect(lambda **_: None, weak=False)
    celery.write_shutdown_lines(logging.signal_safe_writer(settings))
