"""A broker that speaks as much AMQP as a producer needs, and sends something else where a test wants it."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

from tests.support.accepting import accepting

START, TUNE, OPEN, CHANNEL, DECLARE, SELECT, PUBLISH, CLOSE = STAGES = (
    "start",
    "tune",
    "open",
    "channel",
    "declare",
    "select",
    "publish",
    "close",
)
"""What is answered, in this order; the second channel is opened after the queue was declared."""
_ASKED = {
    (10, 11): TUNE,
    (10, 40): OPEN,
    (20, 10): CHANNEL,
    (50, 10): DECLARE,
    (85, 10): SELECT,
    (10, 50): CLOSE,
}
_HEADER_BYTES = 8
Answer = Callable[[str, bytes], Iterable[bytes]]
"""Returns what is sent at a stage, given the right answer; the connection ends after something else."""


def frame(kind: int, channel: int, payload: bytes) -> bytes:
    """Return a frame."""
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"


def method(channel: int, class_id: int, method_id: int, arguments: bytes = b"") -> bytes:
    """Return a frame with a method."""
    return frame(1, channel, struct.pack(">HH", class_id, method_id) + arguments)


HEARTBEAT = frame(8, 0, b"")


def right(stage: str, channel: int) -> bytes:
    """Return the right answer at a stage."""
    return {
        START: method(0, 10, 10, b"\0\x09" + bytes(4) + b"\0\0\0\x05PLAIN" + b"\0\0\0\x05en_US"),
        TUNE: method(0, 10, 30, struct.pack(">HIH", 100, 131_072, 60)),
        OPEN: method(0, 10, 41, b"\0"),
        CHANNEL: method(channel, 20, 11, bytes(4)),
        DECLARE: method(channel, 50, 11, b"\x01q" + bytes(8)),
        SELECT: method(channel, 85, 11),
        PUBLISH: method(channel, 60, 80, struct.pack(">QB", 1, 0)),
        CLOSE: method(0, 10, 51),
    }[stage]


@contextmanager
def amqp_broker(answer: Answer, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Run a broker on loopback, with TLS or without; yield its URL."""
    with accepting(lambda connection: _serve(connection, answer, tls)) as port:
        yield f"amqp{'s' if tls else ''}://127.0.0.1:{port}/"


def _serve(connection: socket.socket, answer: Answer, tls: ssl.SSLContext | None) -> None:
    with suppress(EOFError), _secured(connection, tls) as talking:
        for stage, channel in _stages(talking):
            good = right(stage, channel)
            sent = b""
            for data in answer(stage, good):
                talking.sendall(data)
                sent += data
            if sent != good:
                talking.shutdown(socket.SHUT_WR)


def _secured(connection: socket.socket, tls: ssl.SSLContext | None) -> socket.socket:
    return connection if tls is None else tls.wrap_socket(connection, server_side=True)


def _stages(connection: socket.socket) -> Iterator[tuple[str, int]]:
    """Yield what a producer waits for, and on which channel."""
    _read(connection, _HEADER_BYTES)
    yield START, 0
    body_left = 0
    while True:
        kind, channel, size = struct.unpack(">BHI", _read(connection, 7))
        payload = _read(connection, size + 1)[:-1]
        if kind == 1 and (stage := _ASKED.get(struct.unpack(">HH", payload[:4]))):
            yield stage, channel
        if kind == 2:
            body_left = struct.unpack(">Q", payload[4:12])[0]
        if kind == 3:
            body_left -= len(payload)
            if not body_left:
                yield PUBLISH, channel


def _read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        if not (more := connection.recv(size - len(data))):
            raise EOFError
        data += more
    return data
