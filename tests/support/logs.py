"""How tests log."""

from __future__ import annotations

import structlog
from structlog.dev import ConsoleRenderer, plain_traceback


def configure_plainly() -> None:
    """Configure structlog as it is by default, but with plain tracebacks: its own take a second each."""
    structlog.reset_defaults()
    *others, _ = structlog.get_config()["processors"]
    structlog.configure(processors=[*others, ConsoleRenderer(exception_formatter=plain_traceback)])
