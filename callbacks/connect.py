"""TCP and TLS under one deadline, to checked addresses only.

A name is looked up once; each address it gives is judged, and the connection goes to an address that passed,
not to the name. Every read and write is cut at the delivery's deadline, so a receiver that drips bytes gains
nothing.
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

from stemline.callbacks.guard import AddressRefused, Guard

SockAddr = tuple[Any, ...]
WRITE_BYTES: Final = 16_384


class NameNotFound(Exception):
    """The host name has no address."""


class Deadline:
    """A point in time after which a delivery is over."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds left.

        Raises:
            httpcore.TimeoutException: none are.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise httpcore.TimeoutException
        return left

    def within(self, seconds: float) -> None:
        """Bring the end nearer."""
        self._end = min(self._end, time.monotonic() + seconds)


def lookup(host: str, port: int) -> list[tuple[socket.AddressFamily, SockAddr]]:
    """What the system's resolver says; it also reads decimal, octal and hexadecimal spellings."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(family, address) for family, _, _, _, address in found]


def checked_addresses(
    host: str, port: int, guard: Guard, deadline: Deadline
) -> list[tuple[socket.AddressFamily, SockAddr]]:
    """The addresses of a host that may be called, from one single lookup.

    Raises:
        AddressRefused: there are addresses, but none of them may be called.
        NameNotFound: there are none.
    """
    passed, reason = [], ""
    for family, address in _lookup_within(host, port, deadline.left()):
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


def _lookup_within(host: str, port: int, seconds: float) -> Iterable[tuple[socket.AddressFamily, SockAddr]]:
    """The lookup in a thread of its own, because the system's resolver knows no time limit."""
    answer: queue.SimpleQueue[list[tuple[socket.AddressFamily, SockAddr]] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answer.put(lookup(host, port))
        except (OSError, UnicodeError) as error:
            answer.put(error)

    threading.Thread(target=ask, name="callback-lookup", daemon=True).start()
    try:
        found = answer.get(timeout=seconds)
    except queue.Empty:
        raise httpcore.ConnectTimeout from None
    if isinstance(found, Exception):
        raise NameNotFound(f"{host}: {found}") from found
    return found


class Stream(httpcore.NetworkStream):
    """A connection whose every operation ends at the deadline; httpcore's own time-outs do not count."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        """Some bytes, at most ``max_bytes``; none at the end."""
        self._sock.settimeout(self._deadline.left())
        try:
            return self._sock.recv(max_bytes)
        except TimeoutError:
            raise httpcore.ReadTimeout from None
        except OSError as error:
            raise httpcore.ReadError(str(error)) from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        """All of the bytes."""
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
        """The same connection under TLS."""
        self._sock.settimeout(self._deadline.left())
        try:
            secured = ssl_context.wrap_socket(self._sock, server_hostname=server_hostname)
        except TimeoutError:
            self.close()
            raise httpcore.ConnectTimeout from None
        except OSError as error:
            self.close()
            raise httpcore.ConnectError(f"TLS: {error}") from error
        return Stream(secured, self._deadline)

    def get_extra_info(self, info: str) -> Any:  # noqa: ARG002
        """Nothing that a single request needs."""
        return None


class GuardedBackend(httpcore.NetworkBackend):
    """How httpcore connects: to checked addresses, within the deadline."""

    def __init__(self, guard: Guard, deadline: Deadline) -> None:
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
        """A connection to the first address that may be called and answers."""
        addresses = checked_addresses(host, port, self._guard, self._deadline)
        for position, (family, address) in enumerate(addresses):
            sock = socket.socket(family, socket.SOCK_STREAM)
            # A silent address leaves time for those after it.
            sock.settimeout(self._deadline.left() / (len(addresses) - position))
            try:
                sock.connect(address)
            except OSError as error:
                sock.close()
                if position + 1 == len(addresses):
                    if isinstance(error, TimeoutError):
                        raise httpcore.ConnectTimeout from None
                    raise httpcore.ConnectError(str(error)) from error
            else:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return Stream(sock, self._deadline)
        raise NameNotFound(f"{host} has no address")
