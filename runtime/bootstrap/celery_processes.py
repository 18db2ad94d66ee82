"""Celery without tasks: what sends messages, Beat and Flower."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stemline.runtime.bootstrap.process_logging import configure_logging, keep_celery_from_logging
from stemline.runtime.settings import Settings

if TYPE_CHECKING:
    from celery import Celery

FLOWER_CONNECTIONS: Final = 256
"""Connections to Flower that may be open. One that waits for its client makes room for a new one."""


def celery_app(settings: Settings) -> Celery:
    """Return a Celery application that sends messages and runs no tasks: of the API, Beat and Flower."""
    from stemline.runtime.compat import kombu, versions
    from stemline.runtime.redis_client import CHECK_S
    from stemline.workers.app import create_app, report_dropped

    versions.check("botocore", "celery", "kombu", "redis")
    kombu.raise_connection_error_on_closed_channels()
    kombu.reconnect_after_refusals()
    kombu.drop_unreadable_messages(report_dropped)
    kombu.leave_replaced_primaries(CHECK_S)
    return create_app(settings)


def beat(settings: Settings) -> Celery:
    """Return the Celery application of Beat."""
    configure_logging(settings)
    app = celery_app(settings)
    keep_celery_from_logging(settings)
    return app


def serve_flower(settings: Settings, *, address: str, port: int, control: bool) -> None:
    """Serve Flower until a signal comes; ``control`` lets it change workers and tasks."""
    from stemline.runtime import extras

    extras.require("flower")
    from stemline.api.http.descriptors import allowed_connections
    from stemline.api.http.registry import ConnectionRegistry
    from stemline.runtime.compat import flower, versions

    versions.check("flower")
    configure_logging(settings)
    limit = allowed_connections(FLOWER_CONNECTIONS)
    connections = ConnectionRegistry(limit=limit, limit_per_client=0, memory_limit=0)
    flower.serve(
        celery_app(settings), address=address, port=port, read_only=not control, connections=connections
    )
