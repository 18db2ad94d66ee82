"""What the tests of workers share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.attempts import Bench


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Bench]:
    """Make a bench with settings of the test's choice."""
    return lambda **changes: Bench(tmp_path, monkeypatch, **changes)
