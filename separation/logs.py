"""Loggers that import structlog with the first line they write: importing it takes a tenth of a second."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

#: Lines below this level are left out before structlog is imported; structlog has a level of its own.
_least = logging.NOTSET
#: Configures structlog for the first line.
_configure: Callable[[], None] | None = None


def configure_later(configure: Callable[[], None] | None, *, least: int = logging.NOTSET) -> None:
    """Configure structlog with the first line of at least this level, which may never come.

    Args:
        configure: Does so; None where structlog is configured already.
        least: The least level that `configure` lets through, as in `logging`.
    """
    global _configure, _least  # as structlog's own configuration, one for the process
    _configure, _least = configure, least


class Logger:
    """A logger of structlog, by the name of a module."""

    def __init__(self, name: str) -> None:
        self._name = name

    def info(self, event: str, **keys: Any) -> None:
        """Write a line of this level."""
        self._log(logging.INFO, event, keys)

    def warning(self, event: str, **keys: Any) -> None:
        """Write a line of this level."""
        self._log(logging.WARNING, event, keys)

    def _log(self, level: int, event: str, keys: dict[str, Any]) -> None:
        if level < _least:
            return
        import structlog  # noqa: PLC0415  # see above

        if (configure := _configure) is not None:
            configure_later(None, least=_least)
            configure()
        structlog.get_logger(self._name).log(level, event, **keys)


def get_logger(name: str) -> Logger:
    """Return the logger of a module."""
    return Logger(name)
