"""Flower: its application without Celery's command line, which is the only documented way to start it."""

from __future__ import annotations

import os
import signal
import sys

from celery import Celery
from flower.app import Flower
from flower.command import apply_env_options, extract_settings, setup_logging
from flower.urls import settings
from flower.views.monitor import Healthcheck
from tornado.options import options


def serve(celery: Celery, *, address: str, port: int, read_only: bool) -> None:
    """Serve until TERM or Ctrl-C, by the steps of ``flower.command``; see also mher/flower#647.

    Args:
        celery: the application whose broker is watched.
        address: to listen on.
        port: to listen on.
        read_only: refuse what changes workers or tasks.
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
    flower = Flower(capp=celery, options=options, **settings)
    # FLOWER_URL_PREFIX moves this path too; probes ask for it without knowing the prefix.
    flower.add_handlers(".*", [(r"/healthcheck", Healthcheck)])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    flower.start_http_server()
    try:
        flower.start()
    except (KeyboardInterrupt, SystemExit):
        flower.stop()
