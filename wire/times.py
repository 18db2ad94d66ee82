"""Times on the wire: ``2026-03-01T10:20:30+0800``, always in UTC+8 (docs/wire/wire.md, 1.4)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

CHINA = timezone(timedelta(hours=8))
PATTERN = r"^(-|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+0800)$"
"""Regular expression of a time in an answer."""

_TIME = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?\s*(Z|[+-]\d\d:?[0-5]\d| \d\d:?[0-5]\d)?", re.ASCII
)
_LATEST = round(datetime(9999, 12, 31, 23, 59, 59, tzinfo=CHINA).timestamp() * 1e6)


def format_time(microseconds: int | None) -> str:
    """Return a time in the form of the wire.

    Args:
        microseconds: µs since the epoch; ``None`` for a time that is not known yet.

    Returns:
        The time with second precision, or ``-`` for one that is not known yet. Requests may name times before
        1970, which are shown as its beginning, and after 9999 (in another zone), as its end.
    """
    if not microseconds:
        return "-"
    shown = max(0, min(microseconds, _LATEST))
    return datetime.fromtimestamp(shown / 1e6, tz=CHINA).strftime("%Y-%m-%dT%H:%M:%S%z")


def parse_time(text: str) -> int:
    """Return the µs since the epoch of a time on the wire.

    The offset may be ``+0800``, ``+08:00`` or ``Z``; without one the time is in UTC+8. A space counts as the
    ``+`` of the offset, because form decoding turns a raw ``+`` into a space.

    Raises:
        ValueError: The text is not a time in one of these forms.
    """
    match = _TIME.fullmatch(text.strip())
    if not match:
        raise ValueError(text)
    moment = datetime.fromisoformat(match[1])
    offset = (match[2] or "+0800").replace(" ", "+")
    if offset == "Z":
        return round(moment.replace(tzinfo=UTC).timestamp() * 1e6)
    digits = offset[1:].replace(":", "")
    shift = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    zone = timezone(shift if offset[0] == "+" else -shift)
    return round(moment.replace(tzinfo=zone).timestamp() * 1e6)
