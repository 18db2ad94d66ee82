"""How long a test goes on that proves more the longer it runs."""

from __future__ import annotations

import os
from typing import TypeVar

T = TypeVar("T")


def rounds(short: T, long: T) -> T:
    """Return how many rounds a test makes: ``short`` in ``make test``, ``long`` in ``make test-long``."""
    return long if os.environ.get("LONG") else short
