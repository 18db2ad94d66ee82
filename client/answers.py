"""Reads the JSON of answers; what a service of another version leaves out has a default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from stemline.wire.times import parse_time

Raw = Mapping[str, Any]
"""A container of an answer, by the names of its elements."""


def text(raw: Raw, name: str) -> str:
    """Return a text of an answer; empty if it is missing."""
    value = raw.get(name)
    return value if isinstance(value, str) else "" if value is None else str(value)


def number(raw: Raw, name: str) -> int:
    """Return a number of an answer; 0 if it is missing."""
    return int(optional_number(raw, name) or 0)


def optional_number(raw: Raw, name: str) -> int | None:
    """Return a number of an answer, rounded; ``None`` if it is missing or no number."""
    try:
        return round(float(text(raw, name)))
    except (ValueError, OverflowError):
        return None


def time_of(raw: Raw, name: str) -> datetime | None:
    """Return a time of an answer in UTC; ``None`` if it is not known yet."""
    try:
        return datetime.fromtimestamp(parse_time(text(raw, name)) / 1e6, UTC)
    except ValueError:
        return None


def child(raw: Raw, name: str) -> Raw:
    """Return a container of an answer; empty if it is missing."""
    value = raw.get(name)
    return value if isinstance(value, dict) else {}


def children(raw: Raw, name: str) -> Sequence[Raw]:
    """Return the containers of a list; empty if it is missing."""
    value = raw.get(name)
    return [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, dict)]
