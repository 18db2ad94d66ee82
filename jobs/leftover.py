"""What an attempt left in a bucket because the bucket refused to delete it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Leftover:
    """Uploads of one attempt that later sweeps remove."""

    id: str
    job_id: str
    token: int
    """Fencing token under which the latest of them may have been written."""
    uploads: tuple[Mapping[str, Any], ...]
    since: int
    """When the attempt ended, µs since the epoch."""
    tries: int = 0
    """How often a sweep has taken it."""
