"""AMQP by py-amqp and Kombu, over the sockets of one delivery."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from struct import Struct
from typing import Any, Final

from amqp.exceptions import UnexpectedFrame
from amqp.transport import AMQP_PROTOCOL_HEADER, to_host_port
from kombu.transport import pyamqp

from stemline.callbacks.broker_sockets import BoundedSocket, BrokerSockets
from stemline.callbacks.http import tls_context

MIN_FRAME_BYTES: Final = 4096
"""Any broker takes frames of this size (AMQP 0-9-1, ``frame-min-size``)."""
MAX_FRAME_BYTES: Final = 131_072
"""py-amqp makes a buffer of the size that is agreed on."""
_HEAD: Final = Struct(">BHI")
_END: Final = 0xCE
_READ_BYTES: Final = 16_384


class FrameTransport:
    """Sends and receives frames in the place of a transport of py-amqp, which waits longer."""

    def __init__(self, host: str, *, secure: bool, sockets: BrokerSockets) -> None:
        """Connect to nothing yet.

        Args:
            host: Host and port.
            secure: Whether with TLS.
            sockets: Those of the delivery.
        """
        self._address = to_host_port(host)
        self._secure = secure
        self._sockets = sockets
        self._socket: BoundedSocket | None = None
        self._buffer = b""

    @property
    def connected(self) -> bool:
        """Whether frames can be sent."""
        return self._socket is not None

    def connect(self) -> None:
        """Connect, and announce the protocol.

        Raises:
            OSError: No connection can be made.
        """
        host, port = self._address
        sock = self._sockets.connect(host, port)
        if self._secure:
            sock = self._sockets.secured(sock, host, tls_context())
        self._socket = self._sockets.bound(sock)
        self.write(AMQP_PROTOCOL_HEADER)

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    @contextmanager
    def having_timeout(self, seconds: float | None) -> Iterator[None]:
        """Let reads and writes end earlier than at the deadline."""
        sock = self._open()
        before = sock.gettimeout()
        sock.settimeout(seconds)
        try:
            yield
        finally:
            sock.settimeout(before)

    def read_frame(self) -> tuple[int, int, bytes]:
        """Return type, channel and payload of the next frame.

        Raises:
            UnexpectedFrame: What arrives is no frame, or one that is larger than was agreed on.
            OSError: The connection broke, or nothing came in time; then a later call continues.
        """
        self._receive(_HEAD.size)
        kind, channel, size = _HEAD.unpack_from(self._buffer)
        if size > MAX_FRAME_BYTES:
            raise UnexpectedFrame("larger than was agreed on")
        end = _HEAD.size + size
        self._receive(end + 1)
        payload, last, self._buffer = (
            self._buffer[_HEAD.size : end],
            self._buffer[end],
            self._buffer[end + 1 :],
        )
        if last != _END:
            raise UnexpectedFrame("without its end")
        return kind, channel, payload

    def write(self, data: bytes) -> None:
        """Send all bytes.

        Raises:
            OSError: The connection broke, or the deadline has passed.
        """
        self._open().sendall(data)

    def _receive(self, size: int) -> None:
        """Wait until so many bytes are there."""
        while len(self._buffer) < size:
            data = self._open().recv(_READ_BYTES)
            if not data:
                raise ConnectionError("the broker ended the connection")
            self._buffer += data

    def _open(self) -> BoundedSocket:
        if self._socket is None:
            raise ConnectionError("the connection is closed")
        return self._socket


class AmqpConnection(pyamqp.Connection):
    """A connection over the sockets of a delivery."""

    def __init__(self, *, sockets: BrokerSockets, **options: Any) -> None:
        super().__init__(**options)
        self._sockets = sockets

    def Transport(self, host: str, _timeout: float | None, ssl: object = False, *_: Any, **__: Any) -> Any:  # noqa: N802
        """Return the transport; its name and arguments are py-amqp's.

        Raises:
            OSError: The URL has parameters of TLS, which mean nothing here.
        """
        if isinstance(ssl, dict):
            raise OSError("a URL of AMQP takes no ssl_ parameters; SSL_CERT_FILE names authorities")
        return FrameTransport(host, secure=bool(ssl), sockets=self._sockets)

    def _on_tune(self, channel_max: int, frame_max: int, *heartbeat: Any) -> None:
        """Agree on the size of frames, of which py-amqp would take any."""
        frame_max = min(frame_max or MAX_FRAME_BYTES, MAX_FRAME_BYTES)
        if frame_max < MIN_FRAME_BYTES:
            raise UnexpectedFrame("smaller than any may be")
        super()._on_tune(channel_max, frame_max, *heartbeat)


class AmqpTransport(pyamqp.Transport):
    """Kombu's transport for ``amqp`` URLs; its option ``sockets`` names those of the delivery."""

    Connection = AmqpConnection


class SecureAmqpTransport(pyamqp.SSLTransport):
    """The same for ``amqps`` URLs."""

    Connection = AmqpConnection
