"""How tests log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from structlog.dev import ConsoleRenderer, plain_traceback

from stemline.separation.logs import configure_later


def configure_plainly() -> None:
    """Configure structlog as it is by default, but with plain tracebacks: its own take a second each."""
    configure_later(None)
    structlog.reset_defaults()
    *others, _ = structlog.get_config()["processors"]
    structlog.configure(processors=[*others, ConsoleRenderer(exception_formatter=plain_traceback)])


@contextmanager
def captured_logs() -> Iterator[list[Any]]:
    """Capture what is logged while the block runs, whatever another test has silenced."""
    configure_plainly()
    with structlog.testing.capture_logs() as lines:
        yield lines
