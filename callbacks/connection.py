"""TCP and TLS connections under one deadline, to checked addresses only.

A name is resolved once; each address is checked, and the connection goes to an address that passed, not to
the name. Every read and write ends at the delivery's deadline, so a receiver that sends single bytes slowly
cannot hold a thread longer.
"""

from __future__ import annotations

import queue
import socket
import ssl
import threading
import time
from collections.abc import Iterable
from typing import Any, Final

import httpcore

from stemline.callbacks.address_guard import AddressGuard, AddressRefused
from stemline.jobs.reasons import reason_of

SockAddr = tuple[Any, ...]
WRITE_BYTES: Final = 16_384
MAX_ANSWER_BYTES: Final = 1 << 20
"""Of an answer over HTTP, with its heads and what surrounds its chunks."""


class NameNotFound(Exception):
    """The host name does not resolve."""


class NotConnected(httpcore.ConnectError):
    """No connection could be made; the text says why, since httpcore raises it again without its cause."""


class Deadline:
    """The moment by which a delivery must end."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds left.

        Raises:
            httpcore.TimeoutException: The deadline has passed.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise httpcore.TimeoutException
        return left

    def shorten(self, seconds: float) -> None:
        """End no later than ``seconds`` from now."""
        self._end = min(self._end, time.monotonic() + seconds)


def resolve(host: str, port: int) -> list[tuple[socket.AddressFamily, SockAddr]]:
    """Ask the system's resolver, which also reads decimal, octal and hexadecimal spellings."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(family, address) for family, _, _, _, address in found]


def checked_addresses(
    host: str, port: int, guard: AddressGuard, deadline: Deadline
) -> list[tuple[socket.AddressFamily, SockAddr]]:
    """Resolve a host once and return the addresses that the guard allows.

    Raises:
        AddressRefused: The host has addresses, but none is allowed.
        NameNotFound: The host has no address.
    """
    passed, reason = [], ""
    for family, address in _resolve_within(host, port, deadline.left()):
        try:
            guard.check(address[0])
        except AddressRefused as error:
            reason = reason or str(error)
        else:
            passed.append((family, address))
    if passed:
        return passed
    if reason:
        raise AddressRefused(reason)
    raise NameNotFound(f"{host} has no address")


def _resolve_within(host: str, port: int, seconds: float) -> Iterable[tuple[socket.AddressFamily, SockAddr]]:
    """Resolve in a separate thread, because the system's resolver has no timeout."""
    answer: queue.SimpleQueue[list[tuple[socket.AddressFamily, SockAddr]] | Exception] = queue.SimpleQueue()

    def run() -> None:
        try:
            answer.put(resolve(host, port))
        except (OSError, UnicodeError) as error:
            answer.put(error)

    threading.Thread(target=run, name="callback-resolver", daemon=True).start()
    try:
        found = answer.get(timeout=seconds)
    except queue.Empty:
        raise httpcore.ConnectTimeout from None
    if isinstance(found, Exception):
        raise NameNotFound(f"{host}: {found}") from found
    return found


def open_socket(host: str, port: int, guard: AddressGuard, deadline: Deadline) -> socket.socket:
    """Connect to the first allowed address of a host that accepts.

    Raises:
        AddressRefused: The host has addresses, but none is allowed.
        NameNotFound: The host has no address.
        NotConnected: No address accepts.
        httpcore.TimeoutException: The deadline has passed.
    """
    addresses = checked_addresses(host, port, guard, deadline)
    failure: OSError | None = None
    for position, (family, address) in enumerate(addresses):
        # An address that does not respond leaves time for the next ones.
        seconds = deadline.left() / (len(addresses) - position)
        try:
            return _connected(family, address, seconds)
        except OSError as error:
            failure = error
    if isinstance(failure, TimeoutError):
        raise httpcore.ConnectTimeout from None
    raise NotConnected(reason_of(failure or OSError())) from failure


def _connected(family: socket.AddressFamily, address: SockAddr, seconds: float) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(seconds)
        sock.connect(address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError:
        sock.close()
        raise
    return sock


class Stream(httpcore.NetworkStream):
    """A connection whose every operation ends at the deadline; httpcore's own timeouts are ignored."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline
        self._received = 0

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        """Read at most ``max_bytes``; empty at the end of the stream."""
        self._sock.settimeout(self._deadline.left())
        try:
            data = self._sock.recv(max_bytes)
        except TimeoutError:
            raise httpcore.ReadTimeout from None
        except OSError as error:
            raise httpcore.ReadError(str(error)) from error
        self._received += len(data)
        if self._received > MAX_ANSWER_BYTES:
            raise httpcore.RemoteProtocolError("the answer is too long")
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        """Write all bytes."""
        try:
            while buffer:
                self._sock.settimeout(self._deadline.left())
                buffer = buffer[self._sock.send(buffer[:WRITE_BYTES]) :]
        except TimeoutError:
            raise httpcore.WriteTimeout from None
        except OSError as error:
            raise httpcore.WriteError(str(error)) from error

    def close(self) -> None:
        """Close the connection."""
        self._sock.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        """Start TLS on this connection."""
        try:
            self._sock.settimeout(self._deadline.left())
            secured = ssl_context.wrap_socket(self._sock, server_hostname=server_hostname)
        except (TimeoutError, httpcore.TimeoutException):
            self.close()
            raise httpcore.ConnectTimeout from None
        except OSError as error:
            self.close()
            raise NotConnected(reason_of(error)) from error
        return Stream(secured, self._deadline)

    def get_extra_info(self, info: str) -> Any:  # noqa: ARG002
        """Return nothing; a single request needs none of it."""
        return None


class GuardedBackend(httpcore.NetworkBackend):
    """A network backend for httpcore that connects to checked addresses, within the deadline."""

    def __init__(self, guard: AddressGuard, deadline: Deadline) -> None:
        self._guard = guard
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        """Connect to the first allowed address that accepts."""
        return Stream(open_socket(host, port, self._guard, self._deadline), self._deadline)
