"""What every unit test may rely on."""

from __future__ import annotations

import pytest

from tests.support.logs import configure_plainly


@pytest.fixture(autouse=True)
def default_logging() -> None:
    """Undo the logging configuration of earlier tests, which run commands and servers in this process."""
    configure_plainly()
