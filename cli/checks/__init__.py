"""What `stemline doctor` looks at, in this order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from stemline.cli.checks.engine import device, weights
from stemline.cli.checks.findings import Finding, Patient
from stemline.cli.checks.places import buckets, scratch
from stemline.cli.checks.reach import callbacks, telemetry
from stemline.cli.checks.servers import broker, store

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
