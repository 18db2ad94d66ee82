"""Flower: its application without Celery's command line, the only documented way; its limits and pages."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import flower.app
import prometheus_client
from celery import Celery
from flower.app import Flower
from flower.command import apply_env_options, extract_settings, setup_logging
from flower.urls import settings
from flower.utils import broker
from flower.views import BaseHandler
from flower.views.monitor import Healthcheck, Metrics
from redis.asyncio.sentinel import Sentinel
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.options import options
from tornado.web import HTTPError

_IDLE_S: Final = 75.0
"""How long the head of a request is waited for; tornado's own time is an hour."""
_BODY_S: Final = 10.0
_MAX_BODY_BYTES: Final = 1 << 20
_BACKLOG: Final = 4096
"""Connections that wait to be accepted; beyond 128, tornado's own number, clients would wait a second."""
_METRICS_S: Final = 1.0
"""How long a rendered page of metrics is served again."""


class Connections(Protocol):
    """The connections that are open, up to a limit."""

    def admit(self, connection: Any, client: str) -> bool:
        """Register a new connection, for which another may be evicted; return False if there is no room."""

    def set_waiting(self, connection: Any, *, waiting: bool) -> None:
        """Record whether it is the client's turn; only then a connection may have to make room."""

    def remove(self, connection: Any) -> None:
        """Forget a closed connection."""


def serve(celery: Celery, *, address: str, port: int, read_only: bool, connections: Connections) -> None:
    """Serve until TERM or Ctrl-C, by the steps of ``flower.command``; see also mher/flower#647.

    Args:
        celery: The application whose broker is watched.
        address: To listen on.
        port: To listen on.
        read_only: Refuse what changes workers or tasks.
        connections: Limits those that are open.
    """
    options.address = address
    options.port = port
    options.tasks_columns = "name,uuid,state,args,exception,result,received,runtime,worker"
    options.max_tasks = 10_000
    options.purge_offline_workers = 3600
    apply_env_options()
    # After the FLOWER_ variables, so that a stray one does not open it.
    options.read_only = read_only
    os.environ.pop("FLOWER_UNAUTHENTICATED_API", None)
    extract_settings()
    setup_logging()
    _ask_all_sentinels(str(celery.conf.broker_url))
    _show_all_queues()
    _harden_pages()
    _reuse_metrics()
    _limit_connections(connections)
    application = Flower(capp=celery, options=options, **settings)
    # FLOWER_URL_PREFIX moves this path too; probes ask for it without knowing the prefix.
    application.add_handlers(".*", [(r"/healthcheck", Healthcheck)])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    application.start_http_server()
    try:
        application.start()
    except (KeyboardInterrupt, SystemExit):
        application.stop()


class _Held:
    """A connection that can be closed at once."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def evict(self) -> None:
        """Close it, whatever is still to be sent."""
        self._stream.close()


def _limit_connections(connections: Connections) -> None:
    """Let Flower's server close connections beyond a limit, and those that say nothing.

    It neither counts connections nor ends one that is silent for less than an hour.
    """

    class Server(HTTPServer):
        def initialize(self, *args: Any, **changes: Any) -> None:
            changes |= {"idle_connection_timeout": _IDLE_S, "body_timeout": _BODY_S}
            super().initialize(*args, **changes | {"max_body_size": _MAX_BODY_BYTES})
            self._held: dict[Any, _Held] = {}

        def start_request(self, server_conn: Any, request_conn: Any) -> Any:
            """Wait for a request of a connection, a new one or one whose last request is answered."""
            held = self._held.get(server_conn)
            if held is None:
                held = self._held[server_conn] = _Held(server_conn.stream)
                if not connections.admit(held, str(server_conn.context.remote_ip)):
                    held.evict()
            delegate = super().start_request(server_conn, request_conn)
            _before(delegate, "headers_received", lambda: connections.set_waiting(held, waiting=False))
            # From here on the client has to read.
            _before(request_conn, "write_headers", lambda: connections.set_waiting(held, waiting=True))
            return delegate

        def on_close(self, server_conn: Any) -> None:
            """Forget a connection."""
            connections.remove(self._held.pop(server_conn))
            super().on_close(server_conn)

    flower.app.HTTPServer = Server
    flower.app.bind_sockets = partial(bind_sockets, backlog=_BACKLOG)


def _before(target: Any, method: str, act: Callable[[], None]) -> None:
    """Have an object act before a method of it is called."""
    call = getattr(target, method)

    def called(*args: Any) -> Any:
        act()
        return call(*args)

    setattr(target, method, called)


def _reuse_metrics() -> None:
    """Render the page of metrics once a second at most: it needs no login, and other requests wait for it."""
    rendered, rendered_at = b"", -_METRICS_S

    async def get(self: Any) -> None:
        nonlocal rendered, rendered_at
        if time.monotonic() - rendered_at >= _METRICS_S:
            self.application.purge_offline_worker_metrics()
            rendered, rendered_at = prometheus_client.generate_latest(), time.monotonic()
        self.write(rendered)
        self.set_header("Content-Type", "text/plain")

    Metrics.get = get


def _harden_pages() -> None:
    """Refuse a login that is not ASCII, which Flower answers with 500, and other sites' frames."""
    user_of, headers_of = BaseHandler.get_current_user, BaseHandler.set_default_headers

    def user(self: Any) -> Any:
        try:
            return user_of(self)
        except TypeError as error:
            raise HTTPError(401) from error

    def headers(self: Any) -> None:
        headers_of(self)
        self.set_header("Content-Security-Policy", "frame-ancestors 'none'")
        self.set_header("Referrer-Policy", "same-origin")

    BaseHandler.get_current_user = user
    BaseHandler.set_default_headers = headers


def _ask_all_sentinels(broker_url: str) -> None:
    """Let the page of queues ask every Sentinel, and read the broker's own database.

    Flower asks only the first Sentinel of the URL, and then reads database 0.

    Args:
        broker_url: As Kombu takes it: the URLs of all Sentinels, joined by semicolons.
    """
    urls = [urlsplit(url) for url in broker_url.split(";")]

    class Queues(broker.RedisSentinel):  # type: ignore[misc]  # Flower ships no types
        def _get_redis_client(self, broker_options: Any, broker_use_ssl: Any) -> Any:
            tls = {"ssl": True, **broker_use_ssl} if isinstance(broker_use_ssl, dict) else {}
            sentinel = Sentinel(  # type: ignore[no-untyped-call]
                [(url.hostname, url.port) for url in urls],
                sentinel_kwargs=broker_options.get("sentinel_kwargs"),
                db=self.vhost,
                username=self.username or None,
                password=self.password,
                socket_timeout=self.socket_timeout,
                socket_connect_timeout=self.socket_connect_timeout,
                **tls,
            )
            return sentinel.master_for(self.master_name)

    broker.RedisSentinel = Queues


def _show_all_queues() -> None:
    """Let the page of queues name every queue of the application, and those that workers read besides.

    Flower asks workers for their queues once, at its own start. If only some of them answer then, it shows
    theirs and no others from then on; see ``flower.views.BaseHandler.get_active_queue_names``.
    """
    of_workers = BaseHandler.get_active_queue_names

    def names(self: Any) -> list[str]:
        configured = {queue.name for queue in self.capp.conf.task_queues or ()}
        return sorted(configured.union(of_workers(self)))

    BaseHandler.get_active_queue_names = names
