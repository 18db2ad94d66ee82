"""How many connections the process's limit of open files leaves room for."""

from __future__ import annotations

import resource
from typing import Final

import structlog

log = structlog.get_logger(__name__)

#: Descriptors for everything that is not a client's connection: log, store, broker, buckets, threads.
RESERVED: Final = 128
_FEWEST: Final = 16


def allowed_connections(wanted: int) -> int:
    """Raise the limit of open files as far as allowed, and return how many connections fit under it.

    Without room for the rest of the process, a flood of connections would keep it from reaching its store.

    Args:
        wanted: Connections that the settings allow.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + RESERVED
    unlimited = resource.RLIM_INFINITY
    if soft != unlimited and soft < needed:
        soft = needed if hard == unlimited else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    allowed = wanted if soft == unlimited else min(wanted, max(_FEWEST, soft - RESERVED))
    if allowed < wanted:
        log.warning("server.connections_limited", wanted=wanted, allowed=allowed, open_files=soft)
    return allowed
