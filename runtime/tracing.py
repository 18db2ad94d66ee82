"""OpenTelemetry traces from submission to callback, where a collector is set; nothing at all where none is.

A trace travels with its job as a W3C traceparent in :class:`stemline.jobs.job.JobSpec`, so processes
need nothing else in common. Spans: ``submit`` (API), ``wait`` and ``attempt`` with ``download``, ``separate``
and ``upload`` (worker), ``deliver`` (callback worker). Errors are recorded by kind, never by text.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from stemline.runtime.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_EXPORT_EVERY_MS: Final = 1000
_FLUSH_MS: Final = 5000
_PATH: Final = "/v1/traces"


class TracingMissing(ValueError):
    """STEMLINE_OTLP_ENDPOINT is set, but the packages that send traces are missing: add the extra otel."""

    def __init__(self) -> None:
        super().__init__(" ".join((type(self).__doc__ or "").split()))


@dataclass(frozen=True, slots=True)
class Step:
    """A part of the work while it is done."""

    tracer: Tracer
    traceparent: str
    """What later steps name as their parent; empty without a trace."""
    span: Any = None

    def set(self, **attributes: Any) -> None:
        """Tell more about the step."""
        if self.span is not None:
            self.span.set_attributes({f"stemline.{name}": value for name, value in attributes.items()})

    @contextmanager
    def child(self, name: str, **attributes: Any) -> Iterator[Step]:
        """A step within this one."""
        with self.tracer.span(name, self.traceparent, **attributes) as step:
            yield step


class Tracer:
    """Makes spans of one process, or nothing where tracing is off."""

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._provider = provider
        self._tracer = None if provider is None else provider.get_tracer("stemline")

    @contextmanager
    def span(self, name: str, parent: str, *, kind: str = "internal", **attributes: Any) -> Iterator[Step]:
        """A span for the length of a block.

        Args:
            name: what is done.
            parent: traceparent of what it is a part of; empty or not valid begins a new trace.
            kind: OpenTelemetry's kind: internal, server, client, producer or consumer.
            attributes: what it is done to, told under ``stemline.``.
        """
        if self._tracer is None:
            yield Step(self, parent)
            return
        from opentelemetry.trace import SpanKind, Status, StatusCode  # noqa: PLC0415 - an extra

        span = self._tracer.start_span(name, _context(parent), SpanKind[kind.upper()])
        step = Step(self, _traceparent(span), span)
        step.set(**attributes)
        try:
            yield step
        except BaseException as error:
            span.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise
        finally:
            span.end()

    def past(self, name: str, parent: str, begin: int, end: int, **attributes: Any) -> None:
        """A span of what is over already.

        Args:
            name: what was done.
            parent: traceparent of what it was a part of.
            begin: µs since the epoch.
            end: the same.
            attributes: as in :meth:`span`.
        """
        if self._tracer is None:
            return
        span = self._tracer.start_span(name, _context(parent), start_time=begin * 1000)
        Step(self, "", span).set(**attributes)
        span.end(max(begin, end) * 1000)

    def close(self) -> None:
        """Send what is not sent yet; for processes that end without Python's own clearing up."""
        if self._provider is not None:
            self._provider.force_flush(_FLUSH_MS)


OFF: Final = Step(Tracer(), "")
"""A step of no trace."""


def check(settings: Settings) -> None:
    """See at a process's start that traces can be sent, if they are to be.

    Raises:
        TracingMissing: they are, and cannot.
    """
    if settings.monitoring.otlp_endpoint and not _installed():
        raise TracingMissing


def tracer(settings: Settings, service: str) -> Tracer:
    """The tracer of this process.

    Args:
        settings: where the collector is, if there is one.
        service: the process's name in traces, such as ``stemline-worker``.

    Raises:
        TracingMissing: as in :func:`check`.
    """
    check(settings)
    return _tracer(settings.monitoring.otlp_endpoint or "", service)


def trace_id(traceparent: str) -> str:
    """The part of a traceparent by which people look for a trace; empty without one."""
    return traceparent[3:35]


@cache
def _tracer(endpoint: str, service: str) -> Tracer:
    if not endpoint:
        return Tracer()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - an extra
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    url = endpoint if endpoint.rstrip("/").endswith(_PATH) else endpoint.rstrip("/") + _PATH
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(
        BatchSpanProcessor(OTLPSpanExporter(endpoint=url), schedule_delay_millis=_EXPORT_EVERY_MS)
    )
    return Tracer(provider)


@cache
def _installed() -> bool:
    try:
        return find_spec("opentelemetry.exporter.otlp.proto.http.trace_exporter") is not None
    except ModuleNotFoundError:
        return False


def _context(traceparent: str) -> Any:
    from opentelemetry.context import Context  # noqa: PLC0415 - an extra
    from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415
        TraceContextTextMapPropagator,
    )

    return TraceContextTextMapPropagator().extract({"traceparent": traceparent}, Context())


def _traceparent(span: Any) -> str:
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"
