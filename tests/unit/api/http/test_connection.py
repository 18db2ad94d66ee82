"""Connections on a socket of their own."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from uvicorn.server import ServerState

from stemline.api.connections import listener
from stemline.api.http.connection import Connection
from stemline.runtime.settings import Settings
from tests.support.certificates import make_certificate


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\xff\xff\x01\x00\xff\xff",
        b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
        bytes(range(256)),
    ],
    ids=["plain HTTP", "a long message", "no ClientHello", "bytes"],
)
def test_what_is_not_tls_ends_its_connection(sent: bytes, tmp_path: Path) -> None:
    """It is closed, and the loop has no error to write down with a traceback for each of them."""
    complaints: list[dict[str, Any]] = []
    certificate = make_certificate(tmp_path, "api", "IP:127.0.0.1")

    async def run() -> bytes:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(context))
        settings = Settings(tls_certificate=certificate, tls_key=certificate.with_suffix(".key"))
        shared = listener(settings, Starlette(), ServerState(), {})
        server = await loop.create_server(lambda: Connection(shared, loop), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(sent)
        try:
            return await reader.read()
        finally:
            writer.close()
            server.close()

    assert b"HTTP" not in asyncio.run(run())
    assert [] == complaints
