from __future__ import annotations

from tests.golden.fixtures import golden, weights_2stems

__all__ = ["golden", "weights_2stems"]
