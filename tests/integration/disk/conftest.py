from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.golden.fixtures import golden, weights_2stems
from tests.support.small_disk import Refused, SmallDisk, small_disk

__all__ = ["golden", "weights_2stems"]
SIZE = 1 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A disk of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        with small_disk(folder, SIZE) as disk:
            yield disk
    except Refused as error:
        missing(f"a file system of its own ({error})")
