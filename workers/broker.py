"""What Celery's Redis transport needs in order to survive the end of its connections; mended at import."""

from __future__ import annotations

from typing import Any

import redis
from kombu.transport.redis import Channel

_parameters_of: Any = Channel._connparams  # noqa: SLF001 - where a channel without connection is first met


def _parameters(channel: Any, *args: Any, **options: Any) -> Any:
    """Say that a channel is closed in the way everybody expects.

    After a lost connection, acknowledgements and put-backs of running tasks still meet the old channel. It
    would raise AttributeError, which nobody catches, and the worker would end.

    Raises:
        redis.exceptions.ConnectionError: the channel is closed.
    """
    if getattr(channel.connection, "client", None) is None:
        raise redis.exceptions.ConnectionError("The channel is closed.")
    return _parameters_of(channel, *args, **options)


setattr(Channel, "_connparams", _parameters)  # noqa: B010 - mypy takes no other way
