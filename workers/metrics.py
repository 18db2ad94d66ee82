"""What a worker did, for Prometheus.

Child processes do the work and their parent serves the numbers: each process keeps its values in files of a
folder they share (:func:`stemline.runtime.compat.prometheus.share_values`), so those of a child outlive it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from stemline.runtime.compat.prometheus import SharedValues
from stemline.runtime.settings.groups import MetricsSettings

log = structlog.get_logger(__name__)

_LONG_S = (0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14_400)
_SHORT_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20)

#: Codes with which attempts fail most.
FAILURES = (
    "InternalError",
    "InvalidContent",
    "ResourceAccessDenied",
    "ResourceDownloadFailed",
    "ResourceNotFound",
    "WriteTargetBucketDenied",
)
_WORD = re.compile(r"[a-z][a-z-]{1,19}")


class WorkerMetrics:
    """The numbers of one worker; its processes may share them."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self.attempts = Counter(
            "stemline_attempts_total", "Attempts by how they ended.", ["ending", "code"], registry=registry
        )
        self.attempt_seconds = Histogram(
            "stemline_attempt_seconds",
            "Time of an attempt, from claim to end, s.",
            ["ending"],
            buckets=_LONG_S,
            registry=registry,
        )
        self.stage_seconds = Histogram(
            "stemline_stage_seconds",
            "Work of one job in a stage, s; stages run beside one another.",
            ["stage"],
            buckets=_LONG_S,
            registry=registry,
        )
        self.audio_seconds = Counter(
            "stemline_audio_seconds_total", "Audio that was separated, s.", registry=registry
        )
        self.realtime = Histogram(
            "stemline_realtime_factor",
            "Seconds of audio done in a second, transfers included.",
            buckets=(0.5, 1, 2, 5, 10, 15, 20, 30, 40, 60, 80, 120, 200, 400),
            registry=registry,
        )
        self.running = Gauge(
            "stemline_attempts_running",
            "Attempts at work now.",
            multiprocess_mode="livesum",
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
            "Models held in memory, on which device, by how many processes.",
            ["model", "engine", "device"],
            multiprocess_mode="livesum",
            registry=registry,
        )
        self.heartbeats_missed = Counter(
            "stemline_heartbeats_missed_total",
            "Signs of life that the store did not take, by reason.",
            ["reason"],
            registry=registry,
        )
        self.callbacks = Counter(
            "stemline_callback_attempts_total",
            "Tries to deliver a callback by way, answer and what follows.",
            ["way", "answer", "outcome"],
            registry=registry,
        )
        self.callback_seconds = Histogram(
            "stemline_callback_seconds",
            "Time of one try to deliver, s.",
            ["way", "outcome"],
            buckets=_SHORT_S,
            registry=registry,
        )
        self.rescues = Counter(
            "stemline_rescues_total",
            "Jobs taken from dead workers, by what became of them.",
            ["outcome"],
            registry=registry,
        )
        self.last_sweep = Gauge(
            "stemline_sweep_timestamp_seconds",
            "When this worker last finished a sweep, Unix seconds.",
            multiprocess_mode="max",
            registry=registry,
        )

    def callback_tried(self, way: str, status: str, outcome: str, seconds: float) -> None:
        """Count one try to deliver; HTTP statuses by their class, so that receivers cannot invent labels."""
        if status.isascii() and status.isdigit():
            answer = f"{status[0]}xx" if len(status) == 3 else "odd"
        else:
            word = status.rstrip("0123456789").rstrip("-")  # brokers number their refusals
            answer = word if _WORD.fullmatch(word) else "odd"
        self.callbacks.labels(way, answer, outcome).inc()
        self.callback_seconds.labels(way, outcome).observe(seconds)

    def separated(self, audio_s: float, took_s: float, stages: Mapping[str, float]) -> None:
        """Count what an attempt did that came to its end.

        Args:
            audio_s: length of the source.
            took_s: from the first byte fetched to the last stem published.
            stages: work in each stage.
        """
        self.audio_seconds.inc(audio_s)
        self.realtime.observe(audio_s / max(took_s, 1e-3))
        for stage, seconds in stages.items():
            self.stage_seconds.labels(stage).observe(seconds)

    def attempt_ended(self, ending: str, seconds: float) -> None:
        """Count an attempt: its ending as :meth:`Attempt.run` words it, and its time."""
        word, _, code = ending.partition(" ") if ending.startswith("Failed ") else (ending, "", "")
        word = word.lower().replace(" ", "_")
        self.attempts.labels(word, code).inc()
        self.attempt_seconds.labels(word).observe(seconds)

    def model_load(self, model: str, engine: str, device: str, seconds: float) -> None:
        """Count a model that this process has loaded, and the time it took."""
        self.model_load_seconds.labels(model).observe(seconds)
        self.model_loaded.labels(model, engine, device).inc()

    def begin(self) -> None:
        """Begin every count at zero: a rise from nothing would be no rise to Prometheus."""
        for ending in ("success", "cancel", "superseded", "abandoned", "put_off", "given_back"):
            self.attempts.labels(ending, "")
            self.attempt_seconds.labels(ending)
        for code in FAILURES:
            self.attempts.labels("failed", code)
        for reason in ("lease_lost", "store_away"):
            self.heartbeats_missed.labels(reason)
        for outcome in ("Submitted", "Cancel", "Failed"):
            self.rescues.labels(outcome)


def serve(settings: MetricsSettings, folder: str) -> None:
    """Serve the numbers of this worker and its children; an address in use is logged.

    Args:
        settings: address and port.
        folder: holds the processes' values.
    """
    registry = CollectorRegistry()
    SharedValues(registry, folder)
    try:
        start_http_server(settings.port, settings.host, registry)
    except OSError as error:
        log.warning("metrics.not_served", port=settings.port, reason=error.strerror)
