"""Dates in HTTP headers from anyone."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime


def seconds_of(date: str) -> float | None:
    """Return a date as seconds since the epoch; ``None`` if it is not valid."""
    try:
        moment = parsedate_to_datetime(date)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
