"""How long a test goes on that proves more the longer it runs."""

from __future__ import annotations

import os


def rounds(short: int, long: int) -> int:
    """Return how many rounds a test makes: ``short`` in ``make test``, ``long`` in ``make test-long``."""
    return long if os.environ.get("LONG") else short
