"""Times on the command line."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Time(click.ParamType[datetime]):
    """A time: ``90m``, ``2h`` or ``3d`` ago, or of ISO 8601; without a zone in that of this machine."""

    name = "time"
    sign = -1
    """Where an age lies from now."""
    relative = "an age such as 2h"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Parse the option."""
        if isinstance(value, datetime):
            return value
        try:
            if ago := re.fullmatch(r"(\d{1,9})([smhd])", value):
                return datetime.now(UTC) + self.sign * timedelta(**{_UNITS[ago[2]]: int(ago[1])})
            return datetime.fromisoformat(value.strip()).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(
                f"{value} is neither {self.relative} nor a time such as 2026-03-01T10:20:30Z,"
                " or 2026-03-01 10:20 in the local time zone",
                param,
                ctx,
            )


class Future(Time):
    """A time to come: in ``90m``, ``2h`` or ``3d``, or a date and time."""

    sign = 1
    relative = "a time from now such as 2h"


TIME, FUTURE = Time(), Future()
