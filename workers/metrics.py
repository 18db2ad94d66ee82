"""What a worker did, for Prometheus.

The work is done by child processes, the numbers are told by their parent: each process keeps its numbers in
files of a folder they share, so those of a child outlive it. The folder must be known before
``prometheus_client`` is imported, wherever a worker is started from, so this module makes it when imported.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog
from celery.signals import worker_ready

from stemline.runtime.settings import Settings

_FOLDER = "PROMETHEUS_MULTIPROC_DIR"


def _make_folder() -> None:
    folder, owner = tempfile.mkdtemp(prefix="stemline-metrics-"), os.getpid()
    os.environ[_FOLDER] = folder

    def remove() -> None:
        if os.getpid() == owner:  # a child leaves without taking its parent's folder away
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)


if Settings().metrics.port and not os.environ.get(_FOLDER):
    _make_folder()

from prometheus_client import (  # noqa: E402 - after the folder is known
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    multiprocess,
    start_http_server,
)

log = structlog.get_logger(__name__)

_LONG_S = (0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14_400)
_SHORT_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20)

ATTEMPTS = Counter("stemline_attempts_total", "Attempts by how they ended.", ["ending", "code"])
ATTEMPT_SECONDS = Histogram(
    "stemline_attempt_seconds", "Time of an attempt, from claim to end, s.", ["ending"], buckets=_LONG_S
)
STAGE_SECONDS = Histogram(
    "stemline_stage_seconds",
    "Work of one job in a stage, s; stages run beside one another.",
    ["stage"],
    buckets=_LONG_S,
)
AUDIO_SECONDS = Counter("stemline_audio_seconds_total", "Audio that was separated, s.")
REALTIME = Histogram(
    "stemline_realtime_factor",
    "Seconds of audio done in a second, transfers included.",
    buckets=(0.5, 1, 2, 5, 10, 15, 20, 30, 40, 60, 80, 120, 200, 400),
)
RUNNING = Gauge("stemline_attempts_running", "Attempts at work now.", multiprocess_mode="livesum")
MODEL_LOAD_SECONDS = Histogram(
    "stemline_model_load_seconds", "Time to load a model, s.", ["model"], buckets=_LONG_S
)
MODEL_LOADED = Gauge(
    "stemline_model_loaded",
    "Models held in memory, on which device, by how many processes.",
    ["model", "engine", "device"],
    multiprocess_mode="livesum",
)
HEARTBEATS_MISSED = Counter(
    "stemline_heartbeats_missed_total", "Signs of life that the store did not take, by reason.", ["reason"]
)
CALLBACKS = Counter(
    "stemline_callback_attempts_total",
    "Tries to deliver a callback by way, answer and what follows.",
    ["way", "answer", "outcome"],
)
CALLBACK_SECONDS = Histogram(
    "stemline_callback_seconds", "Time of one try to deliver, s.", ["way", "outcome"], buckets=_SHORT_S
)
RESCUES = Counter(
    "stemline_rescues_total", "Jobs taken from dead workers, by what became of them.", ["outcome"]
)
LAST_SWEEP = Gauge(
    "stemline_sweep_timestamp_seconds",
    "When this worker last finished a sweep, Unix seconds.",
    multiprocess_mode="max",
)

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


def callback_tried(way: str, status: str, outcome: str, seconds: float) -> None:
    """Count one try to deliver; HTTP statuses by their class, so that receivers cannot invent labels."""
    if status.isascii() and status.isdigit():
        answer = f"{status[0]}xx" if len(status) == 3 else "odd"
    else:
        word = status.rstrip("0123456789").rstrip("-")  # brokers number their refusals
        answer = word if _WORD.fullmatch(word) else "odd"
    CALLBACKS.labels(way, answer, outcome).inc()
    CALLBACK_SECONDS.labels(way, outcome).observe(seconds)


def separated(audio_s: float, took_s: float, stages: Mapping[str, float]) -> None:
    """Count what an attempt did that came to its end.

    Args:
        audio_s: length of the source.
        took_s: from the first byte fetched to the last stem published.
        stages: work in each stage.
    """
    AUDIO_SECONDS.inc(audio_s)
    REALTIME.observe(audio_s / max(took_s, 1e-3))
    for stage, seconds in stages.items():
        STAGE_SECONDS.labels(stage).observe(seconds)


def attempt_ended(ending: str, seconds: float) -> None:
    """Count an attempt: its ending as :meth:`stemline.workers.attempt.Attempt.run` words it, and its time."""
    word, _, code = ending.partition(" ") if ending.startswith("Failed ") else (ending, "", "")
    word = word.lower().replace(" ", "_")
    ATTEMPTS.labels(word, code).inc()
    ATTEMPT_SECONDS.labels(word).observe(seconds)


def begin() -> None:
    """Begin every count at zero: a rise from nothing would be no rise to Prometheus."""
    for ending in ("success", "cancel", "superseded", "abandoned", "put_off", "given_back"):
        ATTEMPTS.labels(ending, "")
        ATTEMPT_SECONDS.labels(ending)
    for code in FAILURES:
        ATTEMPTS.labels("failed", code)
    for reason in ("lease_lost", "store_away"):
        HEARTBEATS_MISSED.labels(reason)
    for outcome in ("Submitted", "Cancel", "Failed"):
        RESCUES.labels(outcome)


@worker_ready.connect(weak=False)
def serve(**_: Any) -> None:
    """Tell the numbers of this worker and its children, where a port is set."""
    settings, folder = Settings(), os.environ.get(_FOLDER)
    if not settings.metrics.port or not folder:
        return
    begin()
    registry = CollectorRegistry()
    registry.register(_Children(folder))
    try:
        start_http_server(settings.metrics.port, settings.metrics.host, registry)
    except OSError as error:
        log.warning("metrics.not_served", port=settings.metrics.port, reason=error.strerror)


class _Children(multiprocess.MultiProcessCollector):
    """The numbers of all processes; what only holds while a process lives ends with it."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        super().__init__(None, folder)  # type: ignore[no-untyped-call]

    def collect(self) -> Any:
        """Forget the dead, then add up."""
        for file in self._folder.glob("gauge_live*_*.db"):
            pid = int(file.stem.rpartition("_")[2])
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                with suppress(FileNotFoundError):
                    file.unlink()
            except PermissionError:
                continue
        return super().collect()  # type: ignore[no-untyped-call]
