"""Numbers for Prometheus: what this process answered, and how fast."""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest
from starlette.responses import Response
from starlette.types import Scope

REQUESTS = Counter("stemline_api_requests_total", "Requests answered.", ["operation", "status"])
SECONDS = Histogram(
    "stemline_api_request_seconds",
    "Time from the request's headers to the end of the answer, s.",
    ["operation"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)


def observe(scope: Scope, status: int, seconds: float) -> None:
    """Count one answer under the name of its route, so that ids never become labels."""
    name = operation(scope)
    REQUESTS.labels(name, str(status)).inc()
    SECONDS.labels(name).observe(seconds)


def operation(scope: Scope) -> str:
    """The name of a request's route."""
    return getattr(scope.get("route"), "name", None) or "unknown"


def page() -> Response:
    """Prometheus' text format."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
