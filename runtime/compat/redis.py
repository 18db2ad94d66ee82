"""Redis-py under Kombu, over sockets that a caller makes: it has no limit for a whole exchange."""

from __future__ import annotations

import socket
from typing import Any, Protocol

import redis
from kombu.transport.redis import Channel, Transport
from redis._parsers import _RESP2Parser


class Sockets(Protocol):
    """Makes the sockets of a connection."""

    def connect(self, host: str, port: int) -> socket.socket:
        """Connect to a server."""

    def bound(self, sock: socket.socket) -> Any:
        """Return what is used in the place of a connected socket, which may have TLS."""

    def left(self) -> float:
        """Return how long a socket may wait, s."""


class _Plain(redis.Connection):
    """Connects by the given sockets."""

    sockets: Sockets

    def _connect(self) -> Any:
        return self.sockets.connect(self.host, self.port)


class _Secure(redis.SSLConnection, _Plain):
    """The same, then TLS."""


class _Bound:
    """Uses a connected socket as the given sockets say."""

    sockets: Sockets

    def _connect(self) -> Any:
        self.socket_connect_timeout = self.socket_timeout = self.sockets.left()
        return self.sockets.bound(super()._connect())  # type: ignore[misc]  # of the connection mixed in


class RedisChannel(Channel):
    """A channel whose connections have the sockets of the transport's option ``sockets``."""

    connection_class = _Plain
    connection_class_ssl = _Secure
    from_transport_options = (*Channel.from_transport_options, "sockets")  # type: ignore[assignment]
    sockets: Sockets

    def _connparams(self, *args: Any, **options: Any) -> Any:
        parameters: Any = super()._connparams(*args, **options)  # type: ignore[no-untyped-call]
        kind = parameters["connection_class"]
        # hiredis makes a list of as many items as a server announces, two thousand million too.
        parameters["parser_class"] = _RESP2Parser
        parameters["connection_class"] = type("Bound", (_Bound, kind), {"sockets": self.sockets})
        return parameters


class RedisTransport(Transport):
    """Kombu's transport for Redis URLs; its option ``sockets`` makes the sockets."""

    Channel = RedisChannel
