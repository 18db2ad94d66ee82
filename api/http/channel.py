"""The bytes of a connection in both directions: the transport of a socket, with TLS if it is served."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, Final

from stemline.api.http.tls import TlsLayer

#: Unsent bytes above which the client is waited for.
WRITE_BYTES: Final = 4096


class Channel:
    """Reads, writes and closes, whether encrypted or not."""

    def __init__(self, transport: Any, tls: ssl.SSLContext | None) -> None:
        """Take over the transport of a new connection.

        Args:
            transport: asyncio's transport of the socket.
            tls: Settings of TLS; None for a plain connection.
        """
        self._transport = transport
        self._tls = TlsLayer(transport, tls) if tls is not None else None
        self._writable = asyncio.Event()
        self._writable.set()
        self._at_eof = False
        self._is_reading = True
        self.client = _address(transport, "peername")
        self.server = _address(transport, "sockname")
        transport.set_write_buffer_limits(high=WRITE_BYTES)

    @property
    def scheme(self) -> str:
        """``http`` or ``https``."""
        return "http" if self._tls is None else "https"

    @property
    def established(self) -> bool:
        """Whether the TLS handshake is over, or none is needed."""
        return self._tls is None or self._tls.established

    @property
    def at_eof(self) -> bool:
        """Whether the client sends nothing more."""
        return self._at_eof or (self._tls is not None and self._tls.at_eof)

    @property
    def is_writable(self) -> bool:
        """Whether the client has read nearly all that was sent."""
        return self._writable.is_set()

    @property
    def memory(self) -> int:
        """About how many bytes of memory TLS and unsent data take."""
        unsent: int = 0 if self.is_writable else self._transport.get_write_buffer_size()
        return unsent + (self._tls.memory if self._tls is not None else 0)

    # -- reading

    def receive(self, data: memoryview) -> bytes | memoryview:
        """Return the application's data in bytes from the socket.

        Raises:
            ssl.SSLError: They are not TLS.
        """
        return data if self._tls is None else self._tls.decrypt(data)

    @property
    def is_asked(self) -> bool:
        """Whether a client's handshake waits for its answer."""
        return self._tls is not None and self._tls.is_asked

    def answer(self) -> bytes:
        """Answer the client's handshake.

        Raises:
            ssl.SSLError: It is none.
        """
        return self._tls.answer() if self._tls is not None else b""

    def receive_eof(self) -> None:
        """Note that the socket sends nothing more."""
        self._at_eof = True

    def set_reading(self, *, wanted: bool) -> None:
        """Read on, or leave what the client sends in its socket."""
        if self._at_eof or wanted is self._is_reading:
            return
        self._is_reading = wanted
        if wanted:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    # -- writing

    def send(self, data: bytes) -> None:
        """Send data."""
        (self._tls or self._transport).write(data)

    def set_writable(self, *, writable: bool) -> None:
        """Note whether the client has read enough of what was sent."""
        if writable:
            self._writable.set()
        else:
            self._writable.clear()

    async def drain(self) -> None:
        """Wait until the client has read enough of what was sent."""
        await self._writable.wait()

    # -- closing

    def send_eof(self) -> None:
        """Say that nothing more will be sent."""
        if self._tls is not None:
            self._tls.close_notify()
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def close(self) -> None:
        """Close when everything is sent."""
        if self._tls is not None:
            self._tls.close_notify()
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()


def _address(transport: Any, name: str) -> tuple[str, int] | None:
    """Return address and port of one end; None for a Unix socket."""
    address = transport.get_extra_info(name)
    return (str(address[0]), int(address[1])) if isinstance(address, tuple) else None
