"""Times on the command line."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Time(click.ParamType[datetime]):
    """A time: ``90m``, ``2h`` or ``3d`` ago, or a timestamp of the API."""

    name = "time"
    sign = -1
    """Where an age lies from now."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Parse the option."""
        from stemline.wire.times import parse_time

        if isinstance(value, datetime):
            return value
        try:
            if ago := re.fullmatch(r"(\d{1,9})([smhd])", value):
                return datetime.now(UTC) + self.sign * timedelta(**{_UNITS[ago[2]]: int(ago[1])})
            return datetime.fromtimestamp(parse_time(value) / 1e6, UTC)
        except (ValueError, OverflowError):
            self.fail(
                f"{value} is neither an age such as 2h nor a time: 2026-03-01T10:20:30+0800", param, ctx
            )


class Future(Time):
    """A time to come: in ``90m``, ``2h`` or ``3d``, or a timestamp of the API."""

    sign = 1


TIME, FUTURE = Time(), Future()
