"""Parts of both kinds of workers: metrics and regular reports."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from stemline.runtime.settings import Settings

if TYPE_CHECKING:
    from stemline.workers.device_in_use import DeviceInUse
    from stemline.workers.metrics import WorkerMetrics
    from stemline.workers.serving import Serving


def worker_metrics(settings: Settings, *, forks: bool = True, levels: Sequence[int] = ()) -> WorkerMetrics:
    """Return the metrics of a worker, which are served from its start if the settings name a port.

    A worker that forks serves them when its pool has forked, because a thread serves them.

    Args:
        settings: Address and port.
        forks: Whether a pool of processes does the work.
        levels: The levels of jobs that the worker serves.
    """
    from celery import signals

    from stemline.runtime.compat import prometheus, versions
    from stemline.workers import metrics

    if not settings.metrics.port:
        return metrics.WorkerMetrics()
    versions.check("prometheus-client")
    folder = prometheus.share_values()
    numbers = metrics.WorkerMetrics()

    def serve(**_: Any) -> None:
        numbers.begin(levels)
        metrics.serve(settings.metrics, folder)

    if forks:
        signals.worker_ready.connect(serve, weak=False)
    else:
        serve()
    return numbers


def report_presence(
    settings: Settings, kind: str, device_in_use: DeviceInUse | None = None, serving: Serving | None = None
) -> None:
    """Have a worker of a kind report itself from when it is ready, after its pool has forked, to its end."""
    from importlib.metadata import version

    from celery import signals

    from stemline.jobs.worker import Worker
    from stemline.runtime.store import open_store
    from stemline.workers.app import LEVELS, separate_queue
    from stemline.workers.model_queues import ModelQueues
    from stemline.workers.presence import Presence

    started: list[Presence] = []

    def start(sender: Any, **_: Any) -> None:
        store = open_store(settings)
        served = {queue.name for queue in sender.task_consumer.queues}
        worker = Worker(
            name=sender.hostname,
            kind=kind,
            slots=sender.controller.concurrency,
            levels=tuple(level for level in LEVELS if separate_queue(level) in served),
            device="",
            version=version("stemline"),
            started=time.time_ns() // 1000,
        )
        look = serving.refresh if serving is not None else None
        follow = ModelQueues(sender, worker.levels).follow
        presence = Presence(store, worker, device_in_use=device_in_use, serving=look, follow=follow)
        started.append(presence)
        presence.start()

    def stop(**_: Any) -> None:
        for presence in started:
            presence.stop()

    signals.worker_ready.connect(start, weak=False)
    signals.worker_shutdown.connect(stop, weak=False)
