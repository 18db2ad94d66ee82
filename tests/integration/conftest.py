"""One local stack for all tests that need the whole service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from separation.catalogue import model_named
from separation.download import pull
from separation.weights import WeightStore
from tests.processes import running_stack


@pytest.fixture(scope="session")
def stack_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tests' stack."""
    return tmp_path_factory.mktemp("stack") / ".stemline"


@pytest.fixture(scope="session")
def where(stack_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The running stack's ``stack.json``."""
    pull(WeightStore(), model_named("2stems"))
    with running_stack(stack_home, tmp_path_factory.mktemp("log") / "up.log") as (_, document):
        yield document
