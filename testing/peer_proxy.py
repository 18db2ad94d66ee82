"""A proxy before a Valkey server that cuts it off from replicas and Sentinels, but not from its clients."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import Self

_CHUNK = 1 << 16
_LOOKED_AT = 4096
"""Bytes from a connection's beginning in which a peer gives itself away."""
_PEERS = (b"REPLCONF", b"sentinel-")
"""A replica's first command after its login, and the name that a Sentinel gives its connections."""


class PeerProxy:
    """Forwards connections to one server on loopback until it is closed."""

    def __init__(self, server_port: int) -> None:
        """Listen on a free port, on a thread of its own."""
        self.port = 0
        self._server_port = server_port
        self._is_cut_off = False
        self._peers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="peer-proxy", daemon=True)
        self._thread.start()
        ready.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def cut_off(self) -> None:
        """Close the connections of replicas and Sentinels, and new ones once they are known to be theirs."""
        self._is_cut_off = True
        self._loop.call_soon_threadsafe(self._close_peers)

    def reunite(self) -> None:
        """Let them connect again."""
        self._is_cut_off = False

    def _run(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        self._loop.run_forever()
        server.close()
        self._loop.run_until_complete(self._end_connections())
        self._loop.close()

    async def _end_connections(self) -> None:
        tasks = asyncio.all_tasks(self._loop) - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _close_peers(self) -> None:
        for writer in self._peers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            to, back = await asyncio.open_connection("127.0.0.1", self._server_port)
            answers = asyncio.create_task(forward(to, writer))
            with suppress(asyncio.CancelledError):
                await self._forward_commands(reader, back, writer)
            answers.cancel()
            back.transport.abort()
        self._peers.discard(writer)
        writer.transport.abort()

    async def _forward_commands(
        self, reader: asyncio.StreamReader, back: asyncio.StreamWriter, client: asyncio.StreamWriter
    ) -> None:
        seen = b""
        while data := await reader.read(_CHUNK):
            if client not in self._peers and len(seen) < _LOOKED_AT:
                seen += data
                if any(word in seen for word in _PEERS):
                    self._peers.add(client)
            if self._is_cut_off and client in self._peers:
                return
            back.write(data)
            await back.drain()


async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Write what is read until one side ends, then close the other."""
    with suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()
