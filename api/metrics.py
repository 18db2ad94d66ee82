"""Prometheus metrics of the API: requests by operation and status, and their duration."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
    multiprocess,
)
from starlette.responses import Response
from starlette.types import Scope

from stemline.runtime.store_metrics import StoreCollector

REQUESTS = Counter("stemline_api_requests_total", "Requests answered.", ["operation", "status"])
SECONDS = Histogram(
    "stemline_api_request_seconds",
    "Time from the request's headers to the end of the answer, s.",
    ["operation"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)


def observe(scope: Scope, status: int, seconds: float) -> None:
    """Count one request under the name of its route, so that ids do not become label values."""
    name = operation(scope)
    REQUESTS.labels(name, str(status)).inc()
    SECONDS.labels(name).observe(seconds)


def operation(scope: Scope) -> str:
    """Return the name of a request's route, ``unknown`` before it is routed."""
    return getattr(scope.get("route"), "name", None) or "unknown"


def page(store: StoreCollector) -> Response:
    """Return the metrics of this process and of the store in Prometheus text format."""
    registry = CollectorRegistry()
    registry.register(store)
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
    return Response(generate_latest(registry) + generate_latest(), media_type=CONTENT_TYPE_LATEST)


def share() -> None:
    """Let the processes that serve one port report the sum of their metrics; call it before they start."""
    folder = tempfile.mkdtemp(prefix="stemline-metrics-")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
