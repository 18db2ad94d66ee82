"""What kombu's Redis transport needs to survive the end of its connections."""

from __future__ import annotations

from typing import Any

import redis
from kombu.transport.redis import Channel

_ATTRIBUTE = "_connparams"


def raise_connection_error_on_closed_channels() -> None:
    """Let a channel whose connection is gone raise ``ConnectionError``; a second call changes nothing.

    After a lost connection, acknowledgements and rejections of running tasks still meet the old channel. It
    raises AttributeError there, which Celery does not expect, and the worker would end.
    """
    original: Any = getattr(Channel, _ATTRIBUTE)
    if hasattr(original, "__wrapped__"):
        return

    def parameters(channel: Any, *args: Any, **options: Any) -> Any:
        if getattr(channel.connection, "client", None) is None:
            raise redis.exceptions.ConnectionError("The channel is closed.")
        return original(channel, *args, **options)

    parameters.__wrapped__ = original  # type: ignore[attr-defined]
    setattr(Channel, _ATTRIBUTE, parameters)
