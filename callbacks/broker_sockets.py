"""The sockets of one delivery to a broker, under its one deadline.

The libraries for brokers have timeouts for each read alone: a broker that sends single bytes, or heartbeats,
would hold a thread for ever.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from typing import Any, Final

import httpcore

from stemline.callbacks.address_guard import AddressGuard
from stemline.callbacks.connection import WRITE_BYTES, Deadline, NameNotFound, NotConnected, open_socket

ANY_ADDRESS: Final = AddressGuard.allowing(("0.0.0.0/0", "::/0"))
"""The operator sets the endpoints, so private addresses are allowed."""
MAX_ANSWER_BYTES: Final = 1 << 20
"""What a broker may send in one delivery; those in use send a few kB."""
_SHORTEST_S: Final = 0.001
"""For a library that asks whether something has arrived, s: sockets with TLS need a moment to tell."""


class AnswerTooLong(ConnectionError):
    """A broker sends more than any answer has."""


class BoundedSocket:
    """A socket whose every operation ends at the deadline; other methods are those of the socket."""

    def __init__(self, sock: socket.socket, sockets: BrokerSockets) -> None:
        self._sock = sock
        self._sockets = sockets
        self._timeout: float | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def settimeout(self, seconds: float | None) -> None:
        """Let an operation end earlier than at the deadline."""
        self._timeout = seconds

    def gettimeout(self) -> float | None:
        """Return the timeout that was set."""
        return self._timeout

    def recv(self, size: int, *flags: int) -> bytes:
        """Receive at most so many bytes; none at the end of the stream."""
        self._start()
        data = self._sock.recv(size, *flags)
        self._sockets.count(len(data))
        return data

    def recv_into(self, buffer: Any, *sizes: int) -> int:
        """Receive into a buffer; return how many bytes."""
        self._start()
        size = self._sock.recv_into(buffer, *sizes)
        self._sockets.count(size)
        return size

    def sendall(self, data: bytes) -> None:
        """Send all bytes."""
        left = memoryview(data)
        while left:
            self._start()
            left = left[self._sock.send(left[:WRITE_BYTES]) :]

    def _start(self) -> None:
        """Set the time for an operation.

        Raises:
            TimeoutError: The deadline has passed.
        """
        seconds = self._sockets.left()
        if self._timeout is not None:
            seconds = min(seconds, max(self._timeout, _SHORTEST_S))
        self._sock.settimeout(seconds)


class BrokerSockets:
    """All sockets of one delivery."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self._received = 0
        self._opened: list[socket.socket] = []

    def left(self) -> float:
        """Return the seconds left.

        Raises:
            TimeoutError: The deadline has passed.
        """
        try:
            return self._deadline.left()
        except httpcore.TimeoutException:
            raise TimeoutError from None

    def count(self, size: int) -> None:
        """Note that so many bytes were received.

        Raises:
            AnswerTooLong: They are too many.
        """
        self._received += size
        if self._received > MAX_ANSWER_BYTES:
            raise AnswerTooLong("its answer is too long")

    def connect(self, host: str, port: int) -> socket.socket:
        """Connect to a broker.

        Returns:
            A plain socket, whose timeout is what is left; for a handshake with TLS, or for :meth:`bound`.

        Raises:
            OSError: No connection can be made.
        """
        try:
            sock = open_socket(host, port, ANY_ADDRESS, self._deadline)
        except httpcore.TimeoutException:
            raise TimeoutError from None
        except (NameNotFound, NotConnected) as error:
            raise error.__cause__ if isinstance(error.__cause__, OSError) else OSError(str(error)) from None
        self._opened.append(sock)
        sock.settimeout(self.left())
        return sock

    def secured(self, sock: socket.socket, host: str, context: ssl.SSLContext) -> ssl.SSLSocket:
        """Start TLS on a socket.

        Raises:
            OSError: The handshake failed, or took too long.
        """
        sock.settimeout(self.left())
        return context.wrap_socket(sock, server_hostname=host)

    def bound(self, sock: socket.socket) -> BoundedSocket:
        """Return a socket as the libraries may use it."""
        self._opened.append(sock)
        return BoundedSocket(sock, self)

    def close(self) -> None:
        """Close whatever the libraries left open."""
        for sock in self._opened:
            with suppress(OSError):
                sock.close()
