"""The checks of `stemline doctor`, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from stemline.cli.checks.capacity import capacity
from stemline.cli.checks.engine import device, weights
from stemline.cli.checks.findings import CheckContext, Finding
from stemline.cli.checks.network import callbacks, telemetry
from stemline.cli.checks.security import security
from stemline.cli.checks.servers import broker, store
from stemline.cli.checks.storage import buckets, scratch

CHECKS: Final[Mapping[str, Callable[[CheckContext], Iterator[Finding]]]] = {
    "store": store,
    "broker": broker,
    "capacity": capacity,
    "buckets": buckets,
    "weights": weights,
    "device": device,
    "callbacks": callbacks,
    "scratch": scratch,
    "telemetry": telemetry,
    "security": security,
}
