"""A receiver of callbacks with scripted behaviour, good or bad."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Received:
    """A received request."""

    method: str
    target: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    at: float
    """Unix seconds."""


Behaviour = Callable[[socket.socket, "Receiver"], None]
"""What the receiver does on a connection once it has read the request."""


def answer(status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Behaviour:
    """Return a behaviour that answers with a status, body and headers."""

    def behave(connection: socket.socket, _receiver: Receiver) -> None:
        lines = [f"HTTP/1.1 {status} Status", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)

    return behave


def hang(connection: socket.socket, receiver: Receiver) -> None:
    """Never answer; wait until the client gives up."""
    connection.settimeout(0.2)
    while not receiver.closed:
        with suppress(TimeoutError):
            if not connection.recv(1024):
                return


def drip(connection: socket.socket, receiver: Receiver) -> None:
    """Send an endless status line, one byte at a time."""
    connection.sendall(b"HTTP/1.1 200 ")
    with suppress(OSError):
        while not receiver.closed:
            connection.sendall(b"O")
            time.sleep(0.05)


def close_early(connection: socket.socket, _receiver: Receiver) -> None:
    """Close the connection in the middle of the status line."""
    connection.sendall(b"HTTP/1.")


def flood(size: int) -> Behaviour:
    """Return a behaviour that answers 200 with a body of so many bytes, as fast as the client reads them."""

    def behave(connection: socket.socket, receiver: Receiver) -> None:
        connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
        block = b"x" * 65_536
        with suppress(OSError):
            for _ in range(size // len(block)):
                connection.sendall(block)
                receiver.flooded += len(block)

    return behave


@dataclass
class Receiver:
    """A server on loopback; the n-th request gets the n-th behaviour, later ones the last."""

    behaviours: Sequence[Behaviour] = (answer(200),)
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    flooded: int = 0
    """Bytes that :func:`flood` has sent."""
    closed: bool = False
    tls: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = int(self._listener.getsockname()[1])
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """Where callbacks find it."""
        return f"http://127.0.0.1:{self.port}/hook?a=1"

    def close(self) -> None:
        """Stop listening and end the behaviours that wait."""
        self.closed = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(180)
        try:
            if self.tls is not None:
                connection = self.tls.wrap_socket(connection, server_side=True)
        except OSError:
            connection.close()
            return
        with connection, suppress(OSError):
            request = read_request(connection)
            if request is None:
                return
            with self._lock:
                turn = len(self.received)
                self.received.append(request)
            self.behaviours[min(turn, len(self.behaviours) - 1)](connection, self)


def read_request(connection: socket.socket) -> Received | None:
    """Read a request; ``None`` if the connection ends before it does."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65_536)
        if not more:
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += connection.recv(65_536)
    method, target, _ = first.split(" ")
    return Received(method, target, headers, body, time.time())


@contextmanager
def receiving(*behaviours: Behaviour, tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """Run a receiver while the block runs."""
    receiver = Receiver(behaviours or (answer(200),), tls=tls)
    try:
        yield receiver
    finally:
        receiver.close()
