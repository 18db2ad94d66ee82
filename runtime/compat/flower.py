"""Flower: its application without Celery's command line, the only documented way; the page of queues."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any
from urllib.parse import urlsplit

from celery import Celery
from flower.app import Flower
from flower.command import apply_env_options, extract_settings, setup_logging
from flower.urls import settings
from flower.utils import broker
from flower.views import BaseHandler
from flower.views.monitor import Healthcheck
from redis.asyncio.sentinel import Sentinel
from tornado.options import options
from tornado.web import HTTPError


def serve(celery: Celery, *, address: str, port: int, read_only: bool) -> None:
    """Serve until TERM or Ctrl-C, by the steps of ``flower.command``; see also mher/flower#647.

    Args:
        celery: The application whose broker is watched.
        address: To listen on.
        port: To listen on.
        read_only: Refuse what changes workers or tasks.
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
    flower = Flower(capp=celery, options=options, **settings)
    # FLOWER_URL_PREFIX moves this path too; probes ask for it without knowing the prefix.
    flower.add_handlers(".*", [(r"/healthcheck", Healthcheck)])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    flower.start_http_server()
    try:
        flower.start()
    except (KeyboardInterrupt, SystemExit):
        flower.stop()


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
