"""Flower as Stemline runs it.

In its own process, without Celery's command line: a login is required, what would change workers or tasks is
refused unless it is asked for, and the arguments of tasks are told in words.
"""

from __future__ import annotations

import re
from typing import Any

from celery import Celery

from stemline.runtime.compat import flower

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
    flower.serve(celery, address=address, port=port, read_only=not control, format_task=readable)
