"""TLS over a socket's transport, with ``ssl.MemoryBIO``.

The loops' own TLS begins only when its handshake has ended, so handshakes could be neither counted nor timed
together with other connections, and it keeps a read buffer of 256 KiB for each.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Final

#: What OpenSSL takes for an established connection, for a record of it that is not complete, and at most for
#: a handshake: it reserves what a message of the client announces, up to 128 KiB. Measured with OpenSSL 3.0.
ESTABLISHED_BYTES: Final = 24 << 10
RECORD_BYTES: Final = 18 << 10
HANDSHAKE_BYTES: Final = 160 << 10
_MAX_RECORD_BYTES: Final = 16 << 10
_HANDSHAKE_RECORD: Final = 22
_RECORD_HEADER_BYTES: Final = 5
_MESSAGE_HEADER_BYTES: Final = 4


def server_context(certificate: Path, key: Path | None) -> ssl.SSLContext:
    """Return the TLS settings of a server: TLS 1.2 and later, no renegotiation, HTTP/1.1 alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["http/1.1"])
    return context


class TlsLayer:
    """Encrypts what is written to a transport, and decrypts what was read from it."""

    def __init__(self, transport: asyncio.Transport, context: ssl.SSLContext) -> None:
        self._transport = transport
        self._context = context
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        self._first = bytearray()
        """The client's first record, until it is complete: without it OpenSSL need not reserve anything."""
        self._asked = False
        self._undecrypted = 0
        self.established = False
        self.at_eof = False
        """Whether the client has said that it sends nothing more."""

    @property
    def memory(self) -> int:
        """About how many bytes of memory TLS takes; at most, during the handshake."""
        if self.established:
            return ESTABLISHED_BYTES + (max(RECORD_BYTES, self._undecrypted) if self._undecrypted else 0)
        return len(self._first) if self._tls is None else HANDSHAKE_BYTES

    @property
    def is_asked(self) -> bool:
        """Whether the client's first message is complete and waits for :meth:`answer`, the costly part."""
        return self._asked

    def decrypt(self, data: bytes | memoryview) -> bytes:
        """Take bytes of the socket and return what they hold for the application.

        Raises:
            ssl.SSLError: They are not TLS.
        """
        if self._tls is None:
            self._first += data
            self._asked = self._asked or _is_whole_record(self._first)
            return b""
        return self._decrypt(data)

    def answer(self) -> bytes:
        """Answer the client's first message.

        Raises:
            ssl.SSLError: It is not TLS.
        """
        self._asked = False
        self._tls = self._context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        data, self._first = bytes(self._first), bytearray()
        return self._decrypt(data)

    def _decrypt(self, data: bytes | memoryview) -> bytes:
        """Let OpenSSL read bytes."""
        assert self._tls is not None  # noqa: S101 - made before
        self._incoming.write(data)
        self._undecrypted += len(data)
        parts = []
        try:
            if not self.established:
                self._tls.do_handshake()
                self.established, self._undecrypted = True, 0
            while part := self._tls.read(_MAX_RECORD_BYTES):
                parts.append(part)
                self._undecrypted = 0
            self.at_eof = True
        except ssl.SSLWantReadError:
            pass
        finally:
            self._flush()
        return b"".join(parts)

    def write(self, data: bytes) -> None:
        """Encrypt and send; only once the handshake is over."""
        if self._tls is not None:
            self._tls.write(data)
            self._flush()

    def close_notify(self) -> None:
        """Say that nothing more will be sent."""
        if self._tls is not None:
            with suppress(ssl.SSLError):  # SSLWantReadError: the client has not sent its own
                self._tls.unwrap()
            self._flush()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._transport.write(self._outgoing.read())


def _is_whole_record(data: bytearray) -> bool:
    """Return whether a client's first record is complete.

    Raises:
        ssl.SSLError: It is not a record with a whole handshake message, as each client sends it.
    """
    if data[:1] and data[0] != _HANDSHAKE_RECORD:
        raise ssl.SSLError("the client does not begin a handshake")
    start = _RECORD_HEADER_BYTES + _MESSAGE_HEADER_BYTES
    if len(data) < start:
        return False
    length = int.from_bytes(data[3:_RECORD_HEADER_BYTES], "big")
    message = int.from_bytes(data[_RECORD_HEADER_BYTES + 1 : start], "big") + _MESSAGE_HEADER_BYTES
    if message > length or length > _MAX_RECORD_BYTES:
        raise ssl.SSLError("the client's first message is too long")
    return len(data) >= _RECORD_HEADER_BYTES + length
