"""The metrics of a worker, for Prometheus.

Child processes do the work and their parent serves the metrics. Each process keeps its values in files of a
shared folder (:func:`stemline.runtime.compat.prometheus.share_values`), so those of a dead child are kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from stemline.runtime.compat.prometheus import SharedValues
from stemline.runtime.settings.groups import MetricsSettings
from stemline.workers.outcome import AttemptResult, Outcome

log = structlog.get_logger(__name__)

_LONG_S = (0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14_400)
_SHORT_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20)

#: Codes of faults of a worker or a bucket, after which a job is also tried again.
POSTPONED_CODES = (
    "DecoderCrashed",
    "DeviceUnavailable",
    "InternalError",
    "ResourceAccessDenied",
    "ResourceDownloadFailed",
    "WeightsUnavailable",
    "WriteTargetBucketDenied",
    "WriteTargetObjectFailed",
)
#: The most frequent codes of failures.
FAILURE_CODES = (*POSTPONED_CODES, "InvalidContent", "ModelFailed", "ResourceNotFound")
_STATUS_WORD = re.compile(r"[a-z][a-z-]{1,19}")


class WorkerMetrics:
    """The metrics of one worker; its processes may share them."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self.attempts = Counter(
            "stemline_attempts_total", "Attempts at jobs, by outcome.", ["outcome", "code"], registry=registry
        )
        self.attempt_seconds = Histogram(
            "stemline_attempt_seconds",
            "Duration of an attempt, from claim to end, s.",
            ["outcome"],
            buckets=_LONG_S,
            registry=registry,
        )
        self.stage_seconds = Histogram(
            "stemline_stage_seconds",
            "Duration of a stage of one attempt, s; stages overlap.",
            ["stage"],
            buckets=_LONG_S,
            registry=registry,
        )
        self.audio_seconds = Counter(
            "stemline_separated_audio_seconds_total", "Duration of the separated audio, s.", registry=registry
        )
        self.separations = Counter(
            "stemline_separations_total", "Separated jobs, by model.", ["model"], registry=registry
        )
        self.realtime = Histogram(
            "stemline_realtime_factor",
            "Seconds of audio per second of an attempt, transfers included, by model.",
            ["model"],
            buckets=(0.5, 1, 2, 5, 10, 15, 20, 30, 40, 60, 80, 120, 200, 400),
            registry=registry,
        )
        self.running = Gauge(
            "stemline_attempts_running",
            "Attempts that are running.",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self.waiting_for_memory = Gauge(
            "stemline_attempts_waiting_for_memory",
            "Running attempts that wait because memory is short.",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self.serves_level = Gauge(
            "stemline_worker_serves_level",
            "1 for each JobLevel that a separation worker serves.",
            ["level"],
            multiprocess_mode="max",
            registry=registry,
        )
        self.model_load_seconds = Histogram(
            "stemline_model_load_seconds",
            "Time to load a model, s.",
            ["model"],
            buckets=_LONG_S,
            registry=registry,
        )
        self.model_loaded = Gauge(
            "stemline_model_loaded",
            "Processes that hold a model in memory, by device.",
            ["model", "engine", "device"],
            multiprocess_mode="livesum",
            registry=registry,
        )
        self.heartbeats_missed = Counter(
            "stemline_heartbeats_missed_total",
            "Heartbeats that did not renew a lease, by reason.",
            ["reason"],
            registry=registry,
        )
        self.device_failures = Counter(
            "stemline_device_failures_total", "Failures of a GPU that ended the worker.", registry=registry
        )
        self.device_out_of_service = Gauge(
            "stemline_device_out_of_service",
            "1 while the worker takes no jobs because its GPU failed repeatedly.",
            multiprocess_mode="max",
            registry=registry,
        )
        self.callbacks = Counter(
            "stemline_callback_attempts_total",
            "Delivery attempts, by type, status class and the callback's new state.",
            ["type", "status", "state"],
            registry=registry,
        )
        self.callback_seconds = Histogram(
            "stemline_callback_seconds",
            "Duration of one delivery attempt, s.",
            ["type", "state"],
            buckets=_SHORT_S,
            registry=registry,
        )
        self.reclaims = Counter(
            "stemline_reclaims_total",
            "Jobs reclaimed from dead workers, by outcome.",
            ["outcome"],
            registry=registry,
        )
        self.last_sweep = Gauge(
            "stemline_sweep_timestamp_seconds",
            "When this worker last finished a sweep, Unix seconds.",
            multiprocess_mode="max",
            registry=registry,
        )

    def callback_attempted(self, type_: str, status: str, state: str, seconds: float) -> None:
        """Count a delivery attempt.

        Args:
            type_: ``url`` or ``tdmq``.
            status: HTTP status, or a word such as ``timeout``.
            state: The callback's new state: ``delivered``, ``pending`` or ``dead``.
            seconds: Duration of the attempt.
        """
        self.callbacks.labels(type_, _status_class(status), state).inc()
        self.callback_seconds.labels(type_, state).observe(seconds)

    def separated(self, audio_s: float, took_s: float, stages: Mapping[str, float], model: str) -> None:
        """Count the work of a successful attempt.

        Args:
            audio_s: Duration of the source.
            took_s: Duration of all stages together.
            stages: Duration of each stage.
            model: What separated.
        """
        self.separations.labels(model).inc()
        self.audio_seconds.inc(audio_s)
        self.realtime.labels(model).observe(audio_s / max(took_s, 1e-3))
        for stage, seconds in stages.items():
            self.stage_seconds.labels(stage).observe(seconds)

    def attempt_ended(self, result: AttemptResult, seconds: float) -> None:
        """Count an attempt and its duration."""
        self.attempts.labels(result.outcome, result.code).inc()
        self.attempt_seconds.labels(result.outcome).observe(seconds)

    def model_loaded_in(self, seconds: float, model: str, engine: str, device: str) -> None:
        """Count a model that this process has loaded, and how long that took."""
        self.model_load_seconds.labels(model).observe(seconds)
        self.model_loaded.labels(model, engine, device).inc()

    def begin(self, levels: Iterable[int] = ()) -> None:
        """Export every counter at zero: Prometheus sees no increase from a missing sample to 1.

        Args:
            levels: The levels that the worker serves; none for a callback worker.
        """
        for level in levels:
            self.serves_level.labels(str(level)).set(1)
        for outcome in set(Outcome) - {Outcome.FAILED, Outcome.POSTPONED}:
            self.attempts.labels(outcome, "")
        for code in POSTPONED_CODES:
            self.attempts.labels(Outcome.POSTPONED, code)
        for code in FAILURE_CODES:
            self.attempts.labels(Outcome.FAILED, code)
        for outcome in Outcome:
            self.attempt_seconds.labels(outcome)
        for reason in ("lease_lost", "store_unavailable", "error"):
            self.heartbeats_missed.labels(reason)
        for outcome in (Outcome.RELEASED, Outcome.CANCELLED, Outcome.FAILED):
            self.reclaims.labels(outcome)


def _status_class(status: str) -> str:
    """Return ``2xx`` and the like, a known kind of word, or ``other``: receivers must not create labels."""
    if status.isascii() and status.isdigit():
        return f"{status[0]}xx" if len(status) == 3 else "other"
    word = status.rstrip("0123456789").rstrip("-")  # brokers number their errors
    return word if _STATUS_WORD.fullmatch(word) else "other"


def serve(settings: MetricsSettings, folder: str) -> None:
    """Serve the metrics of this worker and its children; log it if the address is in use.

    Args:
        settings: Address and port.
        folder: The folder with the values of the processes.
    """
    registry = CollectorRegistry()
    SharedValues(registry, folder)
    try:
        start_http_server(settings.port, settings.host, registry)
    except OSError as error:
        log.warning("metrics.not_served", port=settings.port, reason=error.strerror)
