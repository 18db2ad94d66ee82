"""The checks of `stemline doctor`, in the order in which they are reported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from stemline.cli.checks.capacity import capacity
from stemline.cli.checks.engine import device, kernels, weights
from stemline.cli.checks.network import callbacks, telemetry
from stemline.cli.checks.security import security
from stemline.cli.checks.servers import broker, store
from stemline.cli.checks.service import flower, service
from stemline.cli.checks.storage import buckets, scratch
from stemline.cli.checks.timed import Check

CHECKS: Final[Mapping[str, Check]] = {
    "service": service,
    "store": store,
    "broker": broker,
    "capacity": capacity,
    "buckets": buckets,
    "weights": weights,
    "device": device,
    "kernels": kernels,
    "callbacks": callbacks,
    "scratch": scratch,
    "telemetry": telemetry,
    "security": security,
    "flower": flower,
}
