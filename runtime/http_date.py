"""Dates in headers of HTTP, which anybody may have written."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime


def seconds_of(date: str) -> float | None:
    """Return the seconds since the epoch that a date stands for; ``None`` if it is none that there can be."""
    try:
        moment = parsedate_to_datetime(date)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
