"""OpenTelemetry traces from submission to callback; without a collector their spans record nothing.

A trace travels with its job as a W3C traceparent in :class:`stemline.jobs.job.JobSpec`, so processes need
nothing else in common. Spans: ``submit`` (API), ``wait`` and ``attempt`` with ``download``, ``separate`` and
``upload`` (worker), ``deliver`` (callback worker). Errors are recorded by their class, never by their text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.context import Context
from opentelemetry.trace import (
    INVALID_SPAN,
    NoOpTracerProvider,
    Span,
    SpanKind,
    Status,
    StatusCode,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from stemline.runtime.errors import TelemetryMissing
from stemline.runtime.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_EXPORT_INTERVAL_MS: Final = 1000
_FLUSH_TIMEOUT_MS: Final = 5000
_PATH: Final = "/v1/traces"
_PROPAGATOR: Final = TraceContextTextMapPropagator()


class Tracer:
    """Starts the spans of one process, with attributes under ``stemline.``."""

    def __init__(self, provider: TracerProvider | None = None) -> None:
        """Send spans through a provider of the SDK, or record nothing without one."""
        self._provider = provider
        self._tracer = (provider or NoOpTracerProvider()).get_tracer("stemline")

    @contextmanager
    def span(
        self, name: str, parent: str | None = None, *, kind: SpanKind = SpanKind.INTERNAL, **attributes: Any
    ) -> Iterator[Span]:
        """Make a span the current one for the length of a block.

        Args:
            name: What is done.
            parent: Traceparent of the parent, where an empty or invalid one begins a new trace; the current
                span if not given.
            kind: The span's role between processes.
            attributes: What it is done to.
        """
        if self._provider is None and parent == "":
            yield INVALID_SPAN
            return
        context = None if parent is None else _context(parent)
        with self._tracer.start_as_current_span(
            name,
            context,
            kind,
            _prefixed(attributes),
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield span
            except BaseException as error:
                span.set_status(Status(StatusCode.ERROR, type(error).__name__))
                raise

    def record(self, name: str, parent: str, start: int, end: int, **attributes: Any) -> None:
        """Record a span that is over.

        Args:
            name: What was done.
            parent: As in :meth:`span`.
            start: µs since the epoch.
            end: The same.
            attributes: As in :meth:`span`.
        """
        span = self._tracer.start_span(
            name, _context(parent), attributes=_prefixed(attributes), start_time=start * 1000
        )
        span.end(max(start, end) * 1000)

    def flush(self) -> None:
        """Send the spans that are not sent yet; for processes that end without Python's atexit handlers."""
        if self._provider is not None:
            self._provider.force_flush(_FLUSH_TIMEOUT_MS)


def annotate(span: Span, **attributes: Any) -> None:
    """Add attributes, under ``stemline.``."""
    if span.is_recording():
        span.set_attributes(_prefixed(attributes))


def traceparent(span: Span) -> str:
    """Return the traceparent that makes later spans children of this one; empty without a trace."""
    if not span.get_span_context().is_valid:
        return ""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier, set_span_in_context(span))
    return carrier.get("traceparent", "")


def trace_id(parent: str) -> str:
    """Return the part of a traceparent by which people look for a trace; empty without one."""
    return parent[3:35]


def check(settings: Settings) -> None:
    """Check that spans can be sent, if they are to be.

    Raises:
        TelemetryMissing: A collector is set, and a package that sends to it is not installed.
    """
    if settings.monitoring.otlp_endpoint and not _exporter_installed():
        raise TelemetryMissing


def create_tracer(settings: Settings, service: str) -> Tracer:
    """Return a tracer that sends to the collector of the settings, if there is one.

    Args:
        settings: Where the collector is.
        service: The process's name in traces, such as ``stemline-worker``.

    Raises:
        TelemetryMissing: As in :func:`check`.
    """
    endpoint = settings.monitoring.otlp_endpoint
    if not endpoint:
        return Tracer()
    check(settings)
    # Parts of the extra `otel`, and slow to import.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    url = endpoint if endpoint.rstrip("/").endswith(_PATH) else endpoint.rstrip("/") + _PATH
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(
        BatchSpanProcessor(OTLPSpanExporter(endpoint=url), schedule_delay_millis=_EXPORT_INTERVAL_MS)
    )
    return Tracer(provider)


def _exporter_installed() -> bool:
    try:
        return find_spec("opentelemetry.exporter.otlp.proto.http.trace_exporter") is not None
    except ModuleNotFoundError:
        return False


def _context(parent: str) -> Context:
    return _PROPAGATOR.extract({"traceparent": parent}, Context())


def _prefixed(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {f"stemline.{name}": value for name, value in attributes.items()}
