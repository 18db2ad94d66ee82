"""Options of the store's connections to its server."""

from __future__ import annotations

from typing import Any

from redis.backoff import ExponentialBackoff
from redis.retry import Retry


def client_options() -> dict[str, Any]:
    """Return the arguments of :class:`redis.Redis` that a store needs."""
    return {
        "decode_responses": True,
        "socket_timeout": 5,
        "socket_connect_timeout": 3,
        "socket_keepalive": True,
        "health_check_interval": 25,
        # After a broken connection a command is sent again: every script may be repeated.
        "retry": Retry(ExponentialBackoff(cap=0.5, base=0.05), 2),
    }
