"""What every unit test may rely on."""

from __future__ import annotations

import pytest
import structlog


@pytest.fixture(autouse=True)
def default_logging() -> None:
    """Undo the logging configuration of earlier tests, which run commands and servers in this process."""
    structlog.reset_defaults()
