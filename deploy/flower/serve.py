"""Flower as Stemline runs it.

In its own process, without Celery's command line: a login is required, what would change workers or tasks is
refused unless it is asked for, and the arguments of tasks are told in words.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from typing import Any

from celery import Celery
from flower.app import Flower
from flower.command import apply_env_options, extract_settings, setup_logging
from flower.urls import settings as application_settings
from tornado.options import options

_SEPARATE = re.compile(r"['\"](?P<job>j[0-9a-f]{32})['\"],\s*(?P<level>\d)")
_DELIVER = re.compile(r"['\"]d(?P<job>[0-9a-f]{32})['\"]")


def readable(task: Any) -> Any:
    """A task with its arguments in words: the job that rang and its level, or the job a callback tells of."""
    arguments = str(task.args or "")
    if found := _SEPARATE.search(arguments):
        task.args = f"job {found['job']}, level {found['level']}"
    elif found := _DELIVER.search(arguments):
        task.args = f"callback of job j{found['job']}"
    return task


def serve(celery: Celery, *, address: str, port: int, control: bool) -> None:
    """Serve until TERM or Ctrl-C; the login is FLOWER_BASIC_AUTH, other ``FLOWER_…`` variables hold as well.

    Args:
        celery: the application whose broker is watched.
        address: to listen on.
        port: to listen on.
        control: whether tasks may be run and revoked and workers be changed.
    """
    options.address = address
    options.port = port
    options.format_task = readable
    options.tasks_columns = "name,args,state,received,runtime,worker,result,uuid"
    options.max_tasks = 10_000
    options.purge_offline_workers = 3600
    apply_env_options()
    # Not to be opened by a stray variable.
    options.read_only = not control
    os.environ.pop("FLOWER_UNAUTHENTICATED_API", None)
    extract_settings()
    setup_logging()
    flower = Flower(capp=celery, options=options, **application_settings)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    flower.start_http_server()
    try:
        flower.start()
    except (KeyboardInterrupt, SystemExit):
        flower.stop()
