"""The Celery application: queues, and the settings that long jobs on a Redis broker need.

It knows its tasks by name only, so that a process that only sends messages loads neither the engine nor the
tasks. :mod:`stemline.runtime.bootstrap` adds the tasks for workers.
"""

from __future__ import annotations

import socket
from typing import Any

import structlog
from celery import Celery
from kombu.entity import Exchange, Queue

from stemline.runtime.broker import Broker, broker_of
from stemline.runtime.compat.celery import Loader
from stemline.runtime.settings import Settings
from stemline.workers.time_limits import longest_time_limit_s

log = structlog.get_logger(__name__)

SEPARATE = "stemline.separate"
DELIVER = "stemline.deliver"
SWEEP = "stemline.sweep"

LEVELS = (2, 1, 0)
#: Through which all messages go.
EXCHANGE = "stemline"
CALLBACKS = "callbacks"
SWEEPS = "sweep"

#: The broker delivers an unacknowledged message again after the time limit of a job and this margin, s.
#: Recovery does not depend on it: the lease and the sweeper are faster.
_VISIBILITY_MARGIN_S = 6 * 3600

#: TCP keepalive: idle time before the first probe, s; time between probes, s; probes until the end.
_KEEPALIVE = {
    getattr(socket, name): value
    for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
    if hasattr(socket, name)
}


def separate_queue(level: int, wants: str = "") -> str:
    """Return the name of the broker queue of a JobLevel.

    Args:
        level: Level of the jobs.
        wants: What they want of a worker, of those that do not stand in the common line; else empty.
    """
    return f"separate.{level}.{wants}" if wants else f"separate.{level}"


def declare_queue(app: Celery, name: str) -> None:
    """Let an application send to a queue of a model; those of the levels it knows from its start."""
    if name not in app.amqp.queues:
        app.amqp.queues.add(name, exchange=EXCHANGE, exchange_type="direct", routing_key=name)


def report_dropped(queue: str, error: Exception) -> None:
    """Log that a message could not be read."""
    log.warning("broker.message_dropped", queue=queue, reason=repr(error))


def create_app(settings: Settings) -> Celery:
    """Return a Celery application for these settings; it connects to nothing yet."""
    broker = broker_of(settings.store)
    app = Celery(
        "stemline",
        loader=Loader,
        broker=broker.url,
        set_as_current=False,
    )
    names = [*map(separate_queue, LEVELS), CALLBACKS, SWEEPS]
    visibility = round(longest_time_limit_s(settings.workers)) + _VISIBILITY_MARGIN_S
    app.conf.update(
        broker_use_ssl=broker.tls,
        task_queues=[Queue(name, Exchange(EXCHANGE), routing_key=name) for name in names],
        task_create_missing_queues=False,
        task_routes={DELIVER: CALLBACKS, SWEEP: SWEEPS},
        task_default_queue=SWEEPS,
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        # A message is acknowledged after its task has ended, and delivered again if the process died.
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        task_time_limit=round(longest_time_limit_s(settings.workers)) + 300,
        visibility_timeout=visibility,
        broker_transport_options=_transport_options(broker, visibility),
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_channel_error_retry=True,
        broker_connection_timeout=5,
        # After a lost connection an unacknowledged message is delivered again. The lease makes that harmless,
        # so running tasks may continue.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_soft_shutdown_timeout=settings.workers.grace_s + 15,
        worker_enable_soft_shutdown_on_idle=True,
        worker_hijack_root_logger=False,
        worker_send_task_events=True,
        task_send_sent_event=False,  # see task_events
        worker_proc_alive_timeout=60,
        control_queue_ttl=300,
        control_queue_expires=600,
        event_queue_expires=60,
        beat_scheduler="stemline.workers.liveness:Scheduler",  # intervals only, so there is no state to keep
        beat_max_loop_interval=min(5.0, settings.jobs.sweep_interval_s),
        beat_schedule={
            "sweep": {
                "task": SWEEP,
                "schedule": settings.jobs.sweep_interval_s,
                # Sweeps do not pile up while no worker runs.
                "options": {"expires": 2 * settings.jobs.sweep_interval_s},
            }
        },
        timezone="UTC",
        # A key of ours, for the classes of stemline.workers.liveness, which Celery constructs.
        liveness_file=settings.monitoring.liveness_file,
    )
    app.steps["consumer"].add("stemline.workers.liveness:ConsumerLiveness")
    if broker.has_sentinels:
        app.steps["consumer"].add("stemline.workers.primary:PrimaryFollower")
    return app


def _transport_options(broker: Broker, visibility_s: int) -> dict[str, Any]:
    """Return what Kombu's transport needs to know of Redis.

    Args:
        broker: The broker, with options of its own.
        visibility_s: After which an unacknowledged message is delivered again.
    """
    return {
        "visibility_timeout": visibility_s,
        "unacked_restore_interval": 10,
        "unacked_restore_throttle": 1,
        # One Redis list per queue: each JobLevel has its own queue, read in the order the worker names.
        "priority_steps": [0],
        "queue_order_strategy": "priority",
        "socket_timeout": 30,
        "socket_connect_timeout": 5,
        # A peer that vanished without closing the connection is noticed within half a minute.
        "socket_keepalive": True,
        "socket_keepalive_options": _KEEPALIVE,
        "health_check_interval": 25,
        # No retry_on_timeout: after a restart of the broker, redis-py would reconnect the subscription
        # without the event loop's knowledge and block on it, and the worker would take no more messages.
        "client_name": "stemline",
        **broker.transport_options,
    }
