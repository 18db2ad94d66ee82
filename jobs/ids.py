"""Identifiers and times in the forms the wire uses (docs/wire/wire.md, sections 0 and 1.4)."""

from __future__ import annotations

import base64
import re
import secrets
import time
import uuid
from datetime import UTC, datetime, timedelta, timezone

CHINA = timezone(timedelta(hours=8))
JOB_ID = re.compile(r"j[0-9a-f]{32}")

_WIRE_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?\s*(Z|[+-]\d\d:?\d\d| \d\d:?\d\d)?")


def new_job_id() -> str:
    """``j`` and a time-based UUID: unique without asking anybody."""
    return "j" + uuid.uuid1(node=secrets.randbits(47) | 1 << 40).hex


def new_queue_id() -> str:
    """``p`` and a random UUID."""
    return "p" + uuid.uuid4().hex


def new_template_id() -> str:
    """``t1`` and a random UUID."""
    return "t1" + uuid.uuid4().hex


def new_request_id() -> str:
    """Base64 of four hexadecimal fields, the first of them the time."""
    text = f"{int(time.time()):08x}_{secrets.token_hex(4)}_{secrets.token_hex(2)}_{secrets.token_hex(4)}"
    return base64.b64encode(text.encode()).decode()


def wire_time(microseconds: int | None) -> str:
    """A point in time as ``2026-03-01T10:20:30+0800``; ``-`` while it has not come."""
    if not microseconds:
        return "-"
    return datetime.fromtimestamp(microseconds / 1e6, tz=CHINA).strftime("%Y-%m-%dT%H:%M:%S%z")


def parse_wire_time(text: str) -> int:
    """Microseconds since the epoch of a wire time; ``Z`` and ``+08:00`` are understood too.

    A space stands where a raw ``+`` was decoded as a form would be.

    Raises:
        ValueError: the text is no such time.
    """
    match = _WIRE_TIME.fullmatch(text.strip())
    if not match:
        raise ValueError(text)
    moment = datetime.fromisoformat(match[1])
    offset = (match[2] or "+0800").replace(" ", "+")
    if offset == "Z":
        moment = moment.replace(tzinfo=UTC)
    else:
        digits = offset[1:].replace(":", "")
        shift = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
        moment = moment.replace(tzinfo=timezone(shift if offset[0] == "+" else -shift))
    return round(moment.timestamp() * 1e6)
