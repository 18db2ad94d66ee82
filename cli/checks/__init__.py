"""What `stemline doctor` looks at, in this order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from cli.checks.engine import device, weights
from cli.checks.findings import Finding, Patient
from cli.checks.places import buckets, scratch
from cli.checks.reach import callbacks, telemetry
from cli.checks.servers import broker, store

CHECKS: Final[Mapping[str, Callable[[Patient], Iterator[Finding]]]] = {
    "store": store,
    "broker": broker,
    "buckets": buckets,
    "weights": weights,
    "device": device,
    "callbacks": callbacks,
    "scratch": scratch,
    "telemetry": telemetry,
}
