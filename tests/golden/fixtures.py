"""What the separator's tests share: golden values, and engines that are loaded once."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

#: `make parity` records into, and compares with, a folder of its own.
DATA = Path(os.environ.get("GOLDEN_DATA") or Path(__file__).parent / "data")


@pytest.fixture(scope="session")
def golden():
    """Load a golden file by name: `.npz` as a dictionary of arrays, `.json` as it is."""

    def load(name: str) -> dict[str, Any]:
        if name.endswith(".json"):
            return json.loads((DATA / name).read_text())
        with np.load(DATA / name) as content:
            return dict(content)

    return load


@pytest.fixture(scope="session")
def weights_2stems() -> Path:
    """The folder of the real 2-stem weights, fetched the first time."""
    from stemline.models.catalogue import MODELS
    from stemline.models.download import pull
    from stemline.models.weights import WeightStore
    from stemline.separation.errors import WeightsError

    try:
        return pull(WeightStore(), MODELS["2stems"])
    except WeightsError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"the 2-stem weights cannot be had: {error}")
