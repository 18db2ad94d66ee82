"""Prometheus metrics of the API: requests by operation and status, and their duration."""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from starlette.responses import Response
from starlette.types import Scope

from stemline.runtime.compat.prometheus import SharedValues
from stemline.runtime.store_metrics import StoreCollector


class ApiMetrics:
    """Metrics of one API process, or of all that serve one port."""

    def __init__(self, *, shared: str | None = None) -> None:
        """Count from zero.

        Args:
            shared: Folder that holds the values of all processes behind one port, if there are several.
        """
        self._shared = shared
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "stemline_api_requests_total",
            "Requests answered.",
            ["operation", "status"],
            registry=self._registry,
        )
        self._limited = Counter(
            "stemline_api_limited_total",
            "Requests refused with 503 because of a limit of one queue, bucket or credential.",
            registry=self._registry,
        )
        self._seconds = Histogram(
            "stemline_api_request_seconds",
            "Time from the request's headers to the end of the answer, without waits for the client, s.",
            ["operation"],
            buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
            registry=self._registry,
        )
        self._connections_ended = Counter(
            "stemline_api_connections_ended_total",
            "Connections that the server ended and not their client, by reason.",
            ["reason"],
            registry=self._registry,
        )

    def observe(self, scope: Scope, status: int, seconds: float) -> None:
        """Count one request under the name of its route, so that ids do not become label values."""
        name = operation(scope)
        self._requests.labels(name, str(status)).inc()
        if scope.get("state", {}).get("is_limited"):
            self._limited.inc()
        self._seconds.labels(name).observe(seconds)

    def connection_ended(self, reason: str) -> None:
        """Count a connection that was refused, evicted or too slow."""
        self._connections_ended.labels(reason).inc()

    def page(self, store: StoreCollector) -> Response:
        """Return these metrics and those of the store in Prometheus text format."""
        registry = CollectorRegistry()
        registry.register(store)
        text = generate_latest(registry)
        if self._shared:
            processes = CollectorRegistry()
            SharedValues(processes, self._shared)
            text += generate_latest(processes)
        else:
            text += generate_latest(self._registry) + generate_latest()  # the last: of this process
        return Response(text, media_type=CONTENT_TYPE_LATEST)


def operation(scope: Scope) -> str:
    """Return the name of a request's operation, ``unknown`` before it is routed."""
    return str(scope.get("operation", "unknown"))
