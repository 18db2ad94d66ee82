"""uvloop and asyncio: TLS on a connection that the loop has accepted as plain TCP."""

from __future__ import annotations

import asyncio
import ssl
from asyncio.sslproto import SSLProtocol
from typing import Any

import uvloop


def start_tls(
    loop: asyncio.AbstractEventLoop,
    transport: asyncio.Transport,
    protocol: asyncio.BaseProtocol,
    context: ssl.SSLContext,
    *,
    handshake_timeout_s: float,
    shutdown_timeout_s: float,
) -> asyncio.Future[None]:
    """Put TLS between a server's transport and its protocol, before anything is read.

    The documented ``loop.start_tls`` is a coroutine: uvloop may read the client's first bytes before it runs.

    Returns:
        Done when the handshake is.
    """
    uses_uvloop = isinstance(loop, uvloop.Loop)
    tls_protocol: Any = vars(uvloop.loop)["SSLProtocol"] if uses_uvloop else SSLProtocol
    finished: asyncio.Future[None] = loop.create_future()
    wrapped = tls_protocol(
        loop,
        protocol,
        context,
        finished,
        server_side=True,
        ssl_handshake_timeout=handshake_timeout_s,
        ssl_shutdown_timeout=shutdown_timeout_s,
    )
    transport.set_protocol(wrapped)
    wrapped.connection_made(transport)
    return finished
