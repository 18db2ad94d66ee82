"""A client's socket that sends what no honest client would, over TCP or TLS, and need not read."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from functools import cache
from typing import Final

_ESTABLISHED: Final = 1
#: A client that does not read announces a small window, so that the server's buffers fill soon.
_SMALL_WINDOW: Final = 4096


@cache
def unverified() -> ssl.SSLContext:
    """TLS that does not check the server's certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@cache
def without_tickets() -> ssl.SSLContext:
    """TLS 1.2 without tickets, for which a server keeps each session."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_TICKET
    return context


#: As long as a name may be: a server keeps it with the session.
_LONG_NAME: Final = ".".join(letter * 60 for letter in "abcd")


class Stream:
    """One connection of an attacker."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._loop = asyncio.get_running_loop()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        self.sent = 0

    @classmethod
    async def open(
        cls, port: int, source: str, *, tls: bool = False, small: bool = False, tickets: bool = True
    ) -> Stream:
        """Connect from an address of this machine.

        Args:
            port: Of the server.
            source: Address of the client.
            tls: Whether to finish a TLS handshake.
            small: Whether to announce a small window.
            tickets: Whether to take tickets, as all clients do.
        """
        connecting = socket.socket()
        try:
            connecting.setblocking(False)
            connecting.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if small:
                connecting.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_WINDOW)
            connecting.setsockopt(socket.IPPROTO_IP, getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24), 1)
            connecting.bind((source, 0))
            stream = cls(connecting)
            await stream._loop.sock_connect(connecting, ("127.0.0.1", port))
            if tls:
                await stream._handshake(tickets=tickets)
        except BaseException:
            connecting.close()
            raise
        return stream

    async def _handshake(self, *, tickets: bool) -> None:
        context, name = (unverified(), None) if tickets else (without_tickets(), _LONG_NAME)
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
            else:
                await self._flush()
                return

    async def _flush(self) -> None:
        if data := self._outgoing.read():
            self.sent += len(data)
            await self._loop.sock_sendall(self._socket, data)

    async def _fill(self) -> None:
        data = await self._loop.sock_recv(self._socket, 65_536)
        if not data:
            raise ConnectionError("closed")
        self._incoming.write(data)

    async def send(self, data: bytes) -> None:
        """Send all of the data."""
        if self._tls is not None:
            self._tls.write(data)
            await self._flush()
        else:
            self.sent += len(data)
            await self._loop.sock_sendall(self._socket, data)

    async def receive(self, most: int = 65_536) -> bytes:
        """Return some bytes; none at the end."""
        while self._tls is not None:
            try:
                return self._tls.read(most)
            except ssl.SSLWantReadError:
                await self._fill()
        return await self._loop.sock_recv(self._socket, most)

    async def receive_head(self) -> None:
        """Read to the end of an answer's head, and what came with it."""
        received = b""
        while b"\r\n\r\n" not in received:
            data = await self.receive()
            if not data:
                raise ConnectionError("closed")
            received += data

    async def wait_closed(self) -> None:
        """Wait until the server has closed or reset the connection, without reading."""
        while self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _ESTABLISHED:  # noqa: ASYNC110
            await asyncio.sleep(0.2)  # the kernel raises no event for this

    def half_close(self) -> None:
        """Send nothing more."""
        self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close with a reset."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def close(self) -> None:
        """Close."""
        self._socket.close()
