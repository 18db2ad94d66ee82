"""The HTTP server: uvicorn starts and stops it, :mod:`stemline.api.http` serves its connections."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from stemline.api import errors
from stemline.api.http.connection import Connection, ServerContext, State
from stemline.api.http.exchange import header_line
from stemline.api.http.registry import ConnectionRegistry
from stemline.jobs.errors import RequestRefused
from stemline.runtime.compat.uvicorn import ProtocolFactory, ServerState
from stemline.runtime.settings import Settings
from stemline.wire.codec import XML
from stemline.wire.ids import new_request_id

SERVER = "tencent-ci"
KEEP_ALIVE_S = 75
SHUTDOWN_GRACE_S = 20


def configure(
    app: ASGIApp | Callable[[], ASGIApp],
    settings: Settings,
    *,
    host: str,
    port: int,
    processes: int = 1,
    factory: bool = False,
) -> uvicorn.Config:
    """Return how uvicorn serves the application.

    Args:
        app: the application, or what returns it in each of the processes.
        settings: limits, and the certificate if there is one.
        host: address to listen on.
        port: port to listen on.
        processes: how many serve the port; more than one need a factory, and all that can be pickled.
        factory: whether ``app`` returns the application.
    """
    http: Any = ProtocolFactory(partial(_connections, settings))
    return uvicorn.Config(
        app,
        factory=factory,
        workers=processes,
        host=host,
        port=port,
        http=http,
        ws="none",
        loop="uvloop",
        lifespan="on",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        headers=[("Server", SERVER)],
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=SHUTDOWN_GRACE_S,
    )


def _connections(
    settings: Settings, app: ASGIApp, state: ServerState, app_state: dict[str, Any]
) -> Callable[[asyncio.AbstractEventLoop], Connection]:
    """Return what makes the connections of one process, which share a registry and the limits."""
    server = settings.server

    def refusal(reason: str) -> bytes:
        """The wire's form of an error for what is not a request."""
        error = RequestRefused(reason)
        request_id = new_request_id()
        content = errors.body(error, resource="/", request_id=request_id)
        headers = [*state.default_headers, (b"Content-Type", XML.encode())]
        headers += [(b"Content-Length", str(len(content)).encode()), (b"Connection", b"close")]
        names = (b"x-ci-request-id", b"x-cos-request-id", b"x-ci-trace-id")
        headers += [(name, request_id.encode()) for name in names]
        lines = b"".join(header_line(*header) for header in headers)
        return b"HTTP/1.1 400 Bad Request\r\n" + lines + b"\r\n" + content

    context = ServerContext(
        app=app,
        registry=ConnectionRegistry(
            limit=server.max_connections, limit_per_client=server.max_connections_per_client
        ),
        deadlines={
            State.HANDSHAKE: server.header_timeout_s,
            State.IDLE: KEEP_ALIVE_S,
            State.HEAD: server.header_timeout_s,
            State.BODY: server.body_timeout_s + 5,  # the application answers first, in words
            State.HANDLING: server.answer_timeout_s,
            State.WRITING: server.write_timeout_s,
            State.DRAINING: 2,
            State.CLOSING: 5,
        },
        max_head_bytes=server.max_header_bytes,
        refusal=refusal,
        state=state,
        app_state=app_state,
        tls=_tls(server.tls_certificate, server.tls_key) if server.tls_certificate else None,
    )
    return partial(Connection, context)


def _tls(certificate: Any, key: Any) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["http/1.1"])
    return context
