"""A proxy between a client and a Redis server that answers commands with an error while it is asked to."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import BinaryIO, Self

ABORT = "ABORT"
"""Instead of an error reply: close the connection."""


class RespProxy:
    """Forwards RESP between its clients and one server on loopback, for the length of a ``with`` block."""

    def __init__(self, server_port: int, *, tls: ssl.SSLContext | None = None) -> None:
        """Listen on a free port; commands are forwarded until :meth:`refuse` or :attr:`reply` says otherwise.

        Args:
            server_port: Port of the server, on loopback.
            tls: If clients are to connect with TLS.
        """
        self.reply = ""
        """Error reply to every command, such as ``READONLY You can't write.``; empty to forward them."""
        self.refused = 0
        """Commands that were answered with the error since :meth:`refuse`."""
        self._left = 0
        self._in_order = False
        self._lock = threading.Lock()
        self._server_port = server_port
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._connections: set[socket.socket] = set()

    @property
    def url(self) -> str:
        """The URL for clients."""
        return f"{'rediss' if self._tls else 'redis'}://127.0.0.1:{self.port}/0"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name="resp-proxy", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        for each in list(self._connections):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def refuse(self, reply: str, *, after: int = 0) -> Iterator[None]:
        """Answer every command with an error while the block runs.

        Args:
            reply: The error.
            after: How many commands are forwarded before. Their replies may still be on their way, so the
                server is made to give the error, behind them.
        """
        with self._lock:
            self._left, self.reply, self.refused, self._in_order = after, reply, 0, after > 0
        try:
            yield
        finally:
            self.reply = ""

    def _refusal(self) -> str:
        """Return the error for the next command; empty to forward it."""
        with self._lock:
            if self.reply and self._left:
                self._left -= 1
                return ""
            self.refused += bool(self.reply)
            return self.reply

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        if self._tls is not None:
            # Without a handshake here, the socket is wrapped, and so closed below, whatever the client does.
            client = self._tls.wrap_socket(client, server_side=True, do_handshake_on_connect=False)
        with suppress(OSError), closing(client):
            if isinstance(client, ssl.SSLSocket):
                client.do_handshake()
            server = socket.create_connection(("127.0.0.1", self._server_port))
            with closing(server):
                self._connections |= {client, server}
                threading.Thread(target=self._return_replies, args=(server, client), daemon=True).start()
                commands = client.makefile("rb")
                while command := read_command(commands):
                    reply = self._refusal()
                    if not reply:
                        server.sendall(command)
                        continue
                    if reply == ABORT:
                        break
                    if self._in_order:
                        server.sendall(command_of("EVAL", "return redis.error_reply(ARGV[1])", "0", reply))
                    else:
                        client.sendall(f"-{reply}\r\n".encode())
                with suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)
        self._connections.discard(client)

    @staticmethod
    def _return_replies(server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while content := server.recv(1 << 16):
                client.sendall(content)
            client.shutdown(socket.SHUT_RDWR)


def command_of(*words: str) -> bytes:
    """Return a command as a RESP array of bulk strings."""
    parts = [f"*{len(words)}\r\n".encode()]
    parts += [b"$%d\r\n%b\r\n" % (len(word.encode()), word.encode()) for word in words]
    return b"".join(parts)


def read_command(stream: BinaryIO) -> bytes:
    """Return the bytes of the next command, a RESP array of bulk strings; empty at the end of the stream."""
    head = stream.readline()
    if not head.startswith(b"*"):
        return b""
    command = [head]
    for _ in range(int(head[1:])):
        length = stream.readline()
        command += [length, stream.read(int(length[1:]) + 2)]
    return b"".join(command)
